//go:build mutant_receipt_unweighted

package keyring

// mutantReceiptUnweighted makes the check character a plain sum.
const mutantReceiptUnweighted = true
