//go:build !mutant_ledger_past_io_error

package ledger

const mutantLedgerPastIOError = false
