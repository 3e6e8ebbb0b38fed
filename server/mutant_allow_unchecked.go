//go:build mutant_allow_unchecked

package server

const mutantAllowUnchecked = true
