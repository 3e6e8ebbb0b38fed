//go:build !mutant_receipt_unweighted

package keyring

const mutantReceiptUnweighted = false
