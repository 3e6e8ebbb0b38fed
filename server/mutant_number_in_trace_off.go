//go:build !mutant_number_in_trace

package server

const mutantNumberInTrace = false
