//go:build mutant_word_unchecked

package record

const mutantWordUnchecked = true
