//go:build !mutant_fence_read_before_announce

package fence

const mutantReadBeforeAnnounce = false
