package law

import (
	_ "log/slog"
	clock "time"

	_ "example.test/yaml"
	_ "house.test/store"
)

// Decide measures a span, which is pure, and reads the clock, which is not.
func Decide(since clock.Time) bool {
	return clock.Now().Sub(since) > clock.Hour
}
