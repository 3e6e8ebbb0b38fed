//go:build !mutant_journal_retry_fsync

package journal

const mutantJournalRetryFsync = false
