//go:build mutant_digit_unknown_silent

package server

const mutantDigitUnknownSilent = true
