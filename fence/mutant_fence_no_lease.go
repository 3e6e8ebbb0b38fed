//go:build mutant_fence_no_lease

package fence

// mutantNoLease relies on being told of changes, without a lease.
const mutantNoLease = true
