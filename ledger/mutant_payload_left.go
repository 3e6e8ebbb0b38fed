//go:build mutant_payload_left

package ledger

// mutantPayloadLeft erases the number alone.
const mutantPayloadLeft = true
