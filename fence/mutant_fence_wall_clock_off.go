//go:build !mutant_fence_wall_clock

package fence

const mutantWallClock = false
