//go:build !mutant_imports_of_all

package server

const mutantImportsOfAll = false
