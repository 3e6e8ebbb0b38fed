//go:build !mutant_ends_by_strictest

package eligibility

const mutantEndsByStrictest = false
