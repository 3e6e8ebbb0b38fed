//go:build !race

package cache

const raceSlowdown = 1
