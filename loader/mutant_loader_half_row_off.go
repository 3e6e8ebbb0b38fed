//go:build !mutant_loader_half_row

package loader

const mutantHalfRow = false
