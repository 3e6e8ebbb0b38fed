//go:build mutant_fold_unicode_digits

package telephony

// mutantFoldUnicodeDigits reads Arabic and full-width digits as if they were ASCII.
const mutantFoldUnicodeDigits = true
