package main

import (
	"os"
	"runtime"
)

// ballastBytes is how much more garbage a service may have in memory between two collections than without ballast.
const ballastBytes = 128 << 20

// collectSeldom lets a service whose live memory is small, as most are, collect its garbage as seldom as one with more, until
// the returned function is called. The runtime collects when there is as much garbage as live memory, and ballast counts as
// live; since nobody touches it, the machine gives it no memory. An operator who sets GOGC or GOMEMLIMIT knows better.
func collectSeldom() (end func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	ballast := make([]byte, ballastBytes)
	return func() { runtime.KeepAlive(ballast) }
}
