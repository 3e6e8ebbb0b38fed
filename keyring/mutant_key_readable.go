//go:build mutant_key_readable

package keyring

// mutantKeyReadable accepts a key file that others can read.
const mutantKeyReadable = true
