//go:build !mutant_fence_tail_skips

package fence

const mutantTailSkips = false
