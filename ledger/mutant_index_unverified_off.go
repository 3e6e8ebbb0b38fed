//go:build !mutant_index_unverified

package ledger

const mutantIndexUnverified = false
