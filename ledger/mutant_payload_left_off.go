//go:build !mutant_payload_left

package ledger

const mutantPayloadLeft = false
