//go:build mutant_loader_formula

package loader

// mutantFormula writes a cell that a spreadsheet would run as it is.
const mutantFormula = true
