//go:build !mutant_fence_forgets_floors

package fence

const mutantForgetsFloors = false
