package fence

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime counts since the machine started, also while it slept.
func bootTime() time.Duration {
	clock := int32(unix.CLOCK_BOOTTIME)
	if mutantWallClock {
		clock = unix.CLOCK_REALTIME
	}
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		panic("fence: the machine has no boot-time clock: " + err.Error()) // Linux has had it since 2.6.39
	}
	return time.Duration(t.Nano())
}
