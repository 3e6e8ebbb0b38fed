//go:build !mutant_loader_unmasked

package loader

const mutantUnmasked = false
