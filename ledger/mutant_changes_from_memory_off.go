//go:build !mutant_changes_from_memory

package ledger

const mutantChangesFromMemory = false
