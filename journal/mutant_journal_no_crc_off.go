//go:build !mutant_journal_no_crc

package journal

const mutantJournalNoCRC = false
