//go:build mutant_ledger_past_io_error

package ledger

// mutantLedgerPastIOError: after an I/O error the ledger goes on.
const mutantLedgerPastIOError = true
