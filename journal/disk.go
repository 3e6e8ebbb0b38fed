package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// disk is the one directory a journal lives in. Tests put crashes and failing disks in its place.
type disk interface {
	names() ([]string, error)
	create(name string) (file, error) // must not exist; 0600
	open(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	sync() error // makes created, renamed and removed names last
	path(name string) string
	close() error // lets go of the lock
}

type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Close() error
	size() (int64, error)
	reserve(size int64) error // allocates blocks, so that lack of space shows before anything is written
	sync() error              // fdatasync
}

type directory struct {
	dir string
	fd  *os.File // carries the flock
}

func openDirectory(dir string) (disk, error) {
	if err := makeDirectory(dir); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	fd, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := syscall.Flock(int(fd.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		fd.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
		}
		return nil, fmt.Errorf("journal: lock %s: %w", dir, err)
	}
	return directory{dir, fd}, nil
}

// makeDirectory makes dir and its missing parents, each synced into the one above it.
func makeDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := makeDirectory(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	above, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer above.Close()
	return above.Sync()
}

func (d directory) path(name string) string { return filepath.Join(d.dir, name) }

func (d directory) names() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (d directory) create(name string) (file, error) {
	return osOpen(d.path(name), os.O_CREATE|os.O_EXCL|os.O_RDWR)
}

func (d directory) open(name string) (file, error) { return osOpen(d.path(name), os.O_RDWR) }

func (d directory) rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d directory) remove(name string) error { return os.Remove(d.path(name)) }

func (d directory) sync() error { return d.fd.Sync() }

func (d directory) close() error { return d.fd.Close() }

type osFile struct{ *os.File }

func osOpen(path string, flags int) (file, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// again repeats a call that a signal cut short. Such a call has not run to its end, so no write error was taken in by it.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// isDiskFull tells lack of space, or of quota, from a failing disk.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
