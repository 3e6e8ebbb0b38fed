//go:build mutant_query_writes

package loader

// Queries of imports may change the database that they read.
const mutantQueryWrites = true
