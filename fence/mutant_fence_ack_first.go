//go:build mutant_fence_ack_first

package fence

// mutantAckFirst counts changes as applied when they arrive.
const mutantAckFirst = true
