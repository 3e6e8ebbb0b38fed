//go:build mutant_position_at_begin

package ledger

// mutantPositionAtBegin numbers an append when it begins, whether or not it turns out to be a repeat.
const mutantPositionAtBegin = true
