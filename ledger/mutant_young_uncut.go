//go:build mutant_young_uncut

package ledger

// mutantYoungUncut keeps facts in the index that a transaction could not write.
const mutantYoungUncut = true
