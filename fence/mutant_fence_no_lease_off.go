//go:build !mutant_fence_no_lease

package fence

const mutantNoLease = false
