//go:build !mutant_acknowledge_waits

package ledger

const mutantAcknowledgeWaits = false
