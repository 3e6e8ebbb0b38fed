package main

import (
	"sync/atomic"
	"time"
)

// latelyFor is how old a reading by lately may be.
const latelyFor = 5 * time.Millisecond

// lately gives a reading of a clock that was made within latelyFor. The boot-time clock is a system call, which the arrival
// of each check need not pay for: whoever is taken to have come earlier than they did is answered ALLOW for less long.
func lately(clock func() time.Duration) func() time.Duration {
	type reading struct{ at, is time.Duration }
	var last atomic.Pointer[reading]
	began := time.Now()
	return func() time.Duration {
		now := time.Since(began)
		if known := last.Load(); known != nil && now-known.at < latelyFor {
			return known.is
		}
		read := &reading{at: now, is: clock()}
		last.Store(read)
		return read.is
	}
}
