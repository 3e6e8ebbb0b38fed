//go:build !mutant_fold_unicode_digits

package telephony

const mutantFoldUnicodeDigits = false
