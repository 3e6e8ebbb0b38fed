//go:build mutant_acknowledge_waits

package ledger

// mutantAcknowledgeWaits has an acknowledgement wait for disk and standby.
const mutantAcknowledgeWaits = true
