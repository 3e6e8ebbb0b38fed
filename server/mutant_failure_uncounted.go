//go:build mutant_failure_uncounted

package server

const mutantFailureUncounted = true
