//go:build !mutant_import_noted_early

package main

const mutantImportNotedEarly = false
