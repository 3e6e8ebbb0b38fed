//go:build !mutant_young_of_one

package ledger

const mutantYoungOfOne = false
