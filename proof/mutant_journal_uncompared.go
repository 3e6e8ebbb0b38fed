//go:build mutant_journal_uncompared

package proof

// mutantJournalUncompared believes that what the ledger has is what the journal had.
const mutantJournalUncompared = true
