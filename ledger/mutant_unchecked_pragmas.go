//go:build mutant_unchecked_pragmas

package ledger

// mutantUncheckedPragmas opens connections without looking at what they were really set to.
const mutantUncheckedPragmas = true
