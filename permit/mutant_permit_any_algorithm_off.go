//go:build !mutant_permit_any_algorithm

package permit

const mutantPermitAnyAlgorithm = false
