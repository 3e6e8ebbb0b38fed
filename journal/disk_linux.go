package journal

import (
	"errors"
	"os"
	"syscall"
)

func (f osFile) sync() error {
	err := again(func() error { return syscall.Fdatasync(int(f.Fd())) })
	return os.NewSyscallError("fdatasync", err)
}

func (f osFile) reserve(size int64) error {
	err := again(func() error { return syscall.Fallocate(int(f.Fd()), 0, 0, size) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil // the zeros written next allocate just as well, only slower to find out
	}
	return os.NewSyscallError("fallocate", err)
}
