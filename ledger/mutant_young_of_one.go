//go:build mutant_young_of_one

package ledger

// mutantYoungOfOne forgets the facts that are on their way into the file's index.
const mutantYoungOfOne = true
