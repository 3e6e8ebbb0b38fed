//go:build !linux

package bench

import "time"

// pace wakes its caller at given moments, as exactly as Go's timers do.
type pace struct{}

func newPace() (pace, error) { return pace{}, nil }

func (pace) until(due time.Time) error {
	time.Sleep(time.Until(due))
	return nil
}

func (pace) stop() {}
