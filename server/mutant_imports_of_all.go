//go:build mutant_imports_of_all

package server

// Every key sees everybody's imports.
const mutantImportsOfAll = true
