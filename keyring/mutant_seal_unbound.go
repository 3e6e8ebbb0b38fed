//go:build mutant_seal_unbound

package keyring

// mutantSealUnbound leaves the callee out of what a seal covers.
const mutantSealUnbound = true
