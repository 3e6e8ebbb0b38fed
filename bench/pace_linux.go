package bench

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pace wakes its caller at given moments. Go's own timers wake an idle process up to a millisecond late, which would be
// most of what an open loop measures; a timer of the kernel that can be polled does not.
type pace struct {
	fd   int
	file *os.File // the same, as the scheduler waits for it
}

func newPace() (*pace, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &pace{fd, os.NewFile(uintptr(fd), "timerfd")}, nil
}

// until returns at once when the moment has passed.
func (p *pace) until(due time.Time) error {
	var expirations [8]byte
	for left := time.Until(due); left > 0; left = time.Until(due) {
		once := &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(left))}
		if err := unix.TimerfdSettime(p.fd, 0, once, nil); err != nil {
			return os.NewSyscallError("timerfd_settime", err)
		}
		if _, err := p.file.Read(expirations[:]); err != nil {
			return err
		}
	}
	return nil
}

func (p *pace) stop() { _ = p.file.Close() }
