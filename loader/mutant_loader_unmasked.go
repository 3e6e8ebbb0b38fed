//go:build mutant_loader_unmasked

package loader

// mutantUnmasked shows a rejected number.
const mutantUnmasked = true
