//go:build !mutant_seal_unbound

package keyring

const mutantSealUnbound = false
