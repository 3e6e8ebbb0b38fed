//go:build mutant_ledger_no_fsync

package ledger

// mutantLedgerNoFsync: connections are told not to sync, after they were found durable.
const mutantLedgerNoFsync = true
