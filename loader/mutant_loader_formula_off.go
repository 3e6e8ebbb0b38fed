//go:build !mutant_loader_formula

package loader

const mutantFormula = false
