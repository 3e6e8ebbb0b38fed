//go:build !mutant_import_number

package record

const mutantImportNumber = false
