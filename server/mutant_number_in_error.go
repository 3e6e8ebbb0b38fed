//go:build mutant_number_in_error

package server

const mutantNumberInError = true
