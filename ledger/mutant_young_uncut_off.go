//go:build !mutant_young_uncut

package ledger

const mutantYoungUncut = false
