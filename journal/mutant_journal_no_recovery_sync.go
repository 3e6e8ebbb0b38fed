//go:build mutant_journal_no_recovery_sync

package journal

const mutantJournalNoRecoverySync = true
