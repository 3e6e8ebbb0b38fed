//go:build mutant_dispose_kept

package ledger

// mutantDisposeKept removes whole months without asking for what must be kept.
const mutantDisposeKept = true
