//go:build mutant_import_any_file

package main

// An import goes on with whatever the file holds now.
const mutantImportAnyFile = true
