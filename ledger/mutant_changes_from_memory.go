//go:build mutant_changes_from_memory

package ledger

// mutantChangesFromMemory reads changes up to the head that this process happened to know.
const mutantChangesFromMemory = true
