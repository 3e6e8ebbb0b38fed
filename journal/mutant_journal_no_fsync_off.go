//go:build !mutant_journal_no_fsync

package journal

const mutantJournalNoFsync = false
