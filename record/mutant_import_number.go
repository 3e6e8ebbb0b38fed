//go:build mutant_import_number

package record

// Names of files go into the ledger with the telephone numbers in them.
const mutantImportNumber = true
