//go:build mutant_fence_wall_clock

package fence

// mutantWallClock counts leases on the wall clock.
const mutantWallClock = true
