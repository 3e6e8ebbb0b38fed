//go:build !mutant_ledger_unfolded

package ledger

const mutantLedgerUnfolded = false
