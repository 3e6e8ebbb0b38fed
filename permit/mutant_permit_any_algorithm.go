//go:build mutant_permit_any_algorithm

package permit

// mutantPermitAnyAlgorithm lets the token choose how it is checked, with the public key as the secret of a MAC.
const mutantPermitAnyAlgorithm = true
