//go:build !mutant_number_at_begin

package ledger

const mutantNumberAtBegin = false
