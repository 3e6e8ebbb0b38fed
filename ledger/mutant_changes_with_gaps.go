//go:build mutant_changes_with_gaps

package ledger

// mutantChangesWithGaps hands out changes without looking whether one is missing.
const mutantChangesWithGaps = true
