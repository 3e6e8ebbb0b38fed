//go:build !mutant_erased_comes_back

package eligibility

const mutantErasedComesBack = false
