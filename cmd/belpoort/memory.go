package main

import (
	"os"
	"runtime"
	"runtime/debug"
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

// importMemory is what an import aims to stay within. It holds some batches at a time, however long the file.
const importMemory = 128 << 20

// stayWithin has garbage collected as often as it takes to stay within some memory, until the returned function is called.
func stayWithin(bytes int64) (end func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetMemoryLimit(bytes)
	return func() { debug.SetMemoryLimit(before) }
}
