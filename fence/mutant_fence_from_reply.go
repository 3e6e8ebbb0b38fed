//go:build mutant_fence_from_reply

package fence

// mutantFromReply counts the lease from the answer.
const mutantFromReply = true
