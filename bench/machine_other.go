//go:build !linux

package bench

import (
	"errors"
	"os"
	"time"
)

// ProcessCPU is known on Linux only.
func ProcessCPU(int) (time.Duration, error) {
	return 0, errors.New("the CPU time of a process is read on Linux only")
}

// InMemory is known on Linux only.
func InMemory(string) bool { return false }

func syncData(f *os.File) error { return f.Sync() }
