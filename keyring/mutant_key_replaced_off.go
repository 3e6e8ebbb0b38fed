//go:build !mutant_key_replaced

package keyring

const mutantKeyReplaced = false
