//go:build !mutant_ledger_no_fsync

package ledger

const mutantLedgerNoFsync = false
