//go:build !mutant_indexed_early

package ledger

const mutantIndexedEarly = false
