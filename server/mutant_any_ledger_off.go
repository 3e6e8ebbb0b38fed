//go:build !mutant_any_ledger

package server

const mutantAnyLedger = false
