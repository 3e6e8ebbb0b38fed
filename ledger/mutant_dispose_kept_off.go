//go:build !mutant_dispose_kept

package ledger

const mutantDisposeKept = false
