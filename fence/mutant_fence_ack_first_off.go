//go:build !mutant_fence_ack_first

package fence

const mutantAckFirst = false
