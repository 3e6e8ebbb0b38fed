//go:build mutant_ack_before_write

package ledger

// mutantAckBeforeWrite acknowledges a group before it is committed.
const mutantAckBeforeWrite = true
