//go:build !mutant_fence_lapse_unseen

package fence

const mutantLapseUnseen = false
