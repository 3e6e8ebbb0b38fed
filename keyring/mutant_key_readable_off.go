//go:build !mutant_key_readable

package keyring

const mutantKeyReadable = false
