//go:build mutant_fence_impatient

package fence

// mutantImpatient stops waiting for silent nodes long before their leases have run out.
const mutantImpatient = true
