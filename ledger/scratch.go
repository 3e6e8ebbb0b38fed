package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// scratchIn makes a folder for a copy that is not finished, beside where it will go. It is locked while its process lives, so
// that the next copy can tell it from one that a killed process left behind, and removes that: it may hold what is erased
// later.
func scratchIn(dir, prefix string) (path string, remove func(), err error) {
	if left, err := filepath.Glob(filepath.Join(dir, prefix+"*")); err == nil {
		for _, old := range left {
			if lock, err := lockScratch(old); err == nil {
				_ = os.RemoveAll(old)
				lock.Close()
			}
		}
	}
	path, err = os.MkdirTemp(dir, prefix+"*")
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	lock, err := lockScratch(path)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("%w: %w", ErrNotWritable, err), os.RemoveAll(path))
	}
	return path, func() { _ = os.RemoveAll(path); lock.Close() }, nil
}

func lockScratch(path string) (*os.File, error) {
	lock, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}
