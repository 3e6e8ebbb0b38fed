//go:build mutant_erased_comes_back

package eligibility

// mutantErasedComesBack takes a consent of before an erasure for one, when it is sent again.
const mutantErasedComesBack = true
