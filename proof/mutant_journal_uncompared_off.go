//go:build !mutant_journal_uncompared

package proof

const mutantJournalUncompared = false
