//go:build !linux

package fence

import "time"

var started = time.Now()

// bootTime counts since the process started. On some systems it stands still while the machine sleeps, so that a lease
// from before the sleep goes on after it.
func bootTime() time.Duration { return time.Since(started) }
