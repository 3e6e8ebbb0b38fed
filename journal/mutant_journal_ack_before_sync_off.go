//go:build !mutant_journal_ack_before_sync

package journal

const mutantJournalAckBeforeSync = false
