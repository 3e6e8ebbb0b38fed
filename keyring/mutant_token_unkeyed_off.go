//go:build !mutant_token_unkeyed

package keyring

const mutantTokenUnkeyed = false
