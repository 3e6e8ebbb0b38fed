package fence

import "time"

// Uptime is the default of Options.Clock.
func Uptime() time.Duration { return bootTime() }
