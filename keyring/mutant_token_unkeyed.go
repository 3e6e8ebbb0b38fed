//go:build mutant_token_unkeyed

package keyring

// mutantTokenUnkeyed makes callee tokens with plain SHA-256.
const mutantTokenUnkeyed = true
