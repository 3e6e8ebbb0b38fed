//go:build mutant_fence_lapse_unseen

package fence

// mutantLapseUnseen takes a node for silent that has announced itself again.
const mutantLapseUnseen = true
