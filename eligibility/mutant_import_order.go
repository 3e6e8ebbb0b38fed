//go:build mutant_import_order

package eligibility

// mutantImportOrder: a consent that was imported after an objection lifts it, whenever it was given.
const mutantImportOrder = true
