//go:build mutant_loader_bomb

package loader

const mutantLoaderBomb = true
