//go:build !mutant_bulk_first

package ledger

const mutantBulkFirst = false
