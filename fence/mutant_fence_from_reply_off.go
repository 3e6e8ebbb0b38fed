//go:build !mutant_fence_from_reply

package fence

const mutantFromReply = false
