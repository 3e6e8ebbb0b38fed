//go:build !mutant_query_writes

package loader

const mutantQueryWrites = false
