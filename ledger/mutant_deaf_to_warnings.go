//go:build mutant_deaf_to_warnings

package ledger

// mutantDeafToWarnings takes a commit that the standby never confirmed for a good one.
const mutantDeafToWarnings = true
