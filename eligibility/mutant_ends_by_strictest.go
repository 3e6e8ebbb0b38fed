//go:build mutant_ends_by_strictest

package eligibility

// mutantEndsByStrictest takes a basis for ended when the strictest campaign does, though it holds for another.
const mutantEndsByStrictest = true
