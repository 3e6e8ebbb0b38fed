//go:build !mutant_deaf_to_warnings

package ledger

const mutantDeafToWarnings = false
