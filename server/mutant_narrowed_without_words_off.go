//go:build !mutant_narrowed_without_words

package server

const mutantNarrowedWithoutWords = false
