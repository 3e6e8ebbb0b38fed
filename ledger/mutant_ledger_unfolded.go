//go:build mutant_ledger_unfolded

package ledger

// mutantLedgerUnfolded: a new database gets its name although its write-ahead log was not folded back.
const mutantLedgerUnfolded = true
