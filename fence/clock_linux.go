package fence

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bootTime counts since the machine started, also while it slept. It is a bare system call, without the scheduler's
// bookkeeping around it, since it is read for every check.
func bootTime() time.Duration {
	clock := uintptr(unix.CLOCK_BOOTTIME)
	if mutantWallClock {
		clock = unix.CLOCK_REALTIME
	}
	var t unix.Timespec
	_, _, fault := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0)
	if fault != 0 {
		panic("fence: the machine has no boot-time clock: " + fault.Error()) // Linux has had it since 2.6.39
	}
	return time.Duration(t.Nano())
}
