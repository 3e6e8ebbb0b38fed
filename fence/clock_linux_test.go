package fence

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTheDefaultClockIsTheBootTimeClock(t *testing.T) {
	read := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	for range 1000 {
		before, now, after := read(), bootTime(), read()
		if now < before || now > after {
			t.Fatalf("read %v between %v and %v", now, before, after)
		}
	}
}
