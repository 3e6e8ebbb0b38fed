//go:build mutant_fence_tail_skips

package fence

// mutantTailSkips takes the head for applied, whatever it has read.
const mutantTailSkips = true
