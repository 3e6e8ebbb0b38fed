//go:build !mutant_fence_floors_lost

package fence

const mutantFloorsLost = false
