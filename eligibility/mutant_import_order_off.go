//go:build !mutant_import_order

package eligibility

const mutantImportOrder = false
