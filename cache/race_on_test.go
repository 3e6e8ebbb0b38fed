//go:build race

package cache

// raceSlowdown divides the size of long tests: the race detector looks for something else.
const raceSlowdown = 5
