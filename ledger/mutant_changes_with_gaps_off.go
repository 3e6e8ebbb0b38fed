//go:build !mutant_changes_with_gaps

package ledger

const mutantChangesWithGaps = false
