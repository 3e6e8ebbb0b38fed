//go:build !mutant_fence_impatient

package fence

const mutantImpatient = false
