//go:build mutant_loader_half_row

package loader

// mutantHalfRow takes a date that cannot be read for an empty cell.
const mutantHalfRow = true
