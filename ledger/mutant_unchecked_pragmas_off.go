//go:build !mutant_unchecked_pragmas

package ledger

const mutantUncheckedPragmas = false
