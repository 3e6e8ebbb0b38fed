package main

import "os"

// ballast is never touched, so that the machine gives it no memory; see collectSeldom.
var ballast []byte //nolint:unused // to be there is its use

// ballastBytes is how much more garbage a service may have in memory between two collections than without ballast.
const ballastBytes = 128 << 20

// collectSeldom lets a service whose live memory is small, as most are, collect its garbage as seldom as one with more: the
// runtime collects when there is as much garbage as live memory, and ballast counts as live. An operator who sets GOGC or
// GOMEMLIMIT knows better.
func collectSeldom() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast = make([]byte, ballastBytes)
	}
}
