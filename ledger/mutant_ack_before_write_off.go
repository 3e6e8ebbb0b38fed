//go:build !mutant_ack_before_write

package ledger

const mutantAckBeforeWrite = false
