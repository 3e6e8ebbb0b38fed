//go:build !mutant_position_at_begin

package ledger

const mutantPositionAtBegin = false
