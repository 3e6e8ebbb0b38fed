//go:build mutant_client_any_age

package client

const mutantAnyAge = true
