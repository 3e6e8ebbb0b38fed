//go:build mutant_import_noted_early

package main

// Rows count as dealt with before the service has answered for them.
const mutantImportNotedEarly = true
