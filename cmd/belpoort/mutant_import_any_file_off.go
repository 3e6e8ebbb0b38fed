//go:build !mutant_import_any_file

package main

const mutantImportAnyFile = false
