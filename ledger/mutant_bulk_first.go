//go:build mutant_bulk_first

package ledger

// mutantBulkFirst fills a transaction with bulk appends, whoever else waits.
const mutantBulkFirst = true
