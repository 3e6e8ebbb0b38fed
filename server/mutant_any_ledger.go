//go:build mutant_any_ledger

package server

// mutantAnyLedger takes every ledger for the one in which an import was begun.
const mutantAnyLedger = true
