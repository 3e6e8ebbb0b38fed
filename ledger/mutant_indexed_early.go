//go:build mutant_indexed_early

package ledger

// mutantIndexedEarly notes facts as indexed before all of them are.
const mutantIndexedEarly = true
