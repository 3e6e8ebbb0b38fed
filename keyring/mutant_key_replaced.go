//go:build mutant_key_replaced

package keyring

// mutantKeyReplaced puts a new key over one that another Open has just made.
const mutantKeyReplaced = true
