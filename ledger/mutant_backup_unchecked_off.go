//go:build !mutant_backup_unchecked

package ledger

const mutantBackupUnchecked = false
