//go:build mutant_backup_unchecked

package ledger

// mutantBackupUnchecked takes any copy for a ledger.
const mutantBackupUnchecked = true
