package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	databaseName = "ledger.db"
	lockName     = "ledger.lock"
)

// lockFolder makes the folder if need be and takes it for this process, until the file is closed or the process ends.
// The lock is flock's, so it does not reach across machines: the folder must be on a local disk.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	path := filepath.Join(dir, lockName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: folder %s%s", ErrInUse, dir, heldBy(file))
		}
		return nil, fmt.Errorf("%w: locking %s: %w", ErrNotWritable, path, err)
	}
	if err := writeOwner(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	return file, nil
}

func writeOwner(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func heldBy(file *os.File) string {
	text, _ := io.ReadAll(io.LimitReader(file, 32))
	pid := strings.TrimSpace(string(text))
	if pid == "" {
		return ""
	}
	return ", held by process " + pid
}

// sqliteMagic opens every SQLite file; bytes 18 and 19 are 2 in WAL mode. (https://www.sqlite.org/fileformat.html)
var sqliteMagic = []byte("SQLite format 3\x00")

// inspectFile looks at an existing database file before SQLite does, because SQLite takes an empty file for a new
// database and would turn a file that has lost its WAL marks back into one, writing to it.
func inspectFile(path string) (exists bool, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, refuseOrphanedWAL(path)
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	defer file.Close()
	header := make([]byte, 100)
	if _, err := io.ReadFull(file, header); err != nil {
		return true, fmt.Errorf("%w: %s: shorter than a database's header: %w", ErrCorrupt, path, err)
	}
	if !bytes.HasPrefix(header, sqliteMagic) || header[18] != 2 || header[19] != 2 {
		return true, fmt.Errorf("%w: %s: not the header of a SQLite database in WAL mode", ErrCorrupt, path)
	}
	return true, nil
}

// refuseOrphanedWAL keeps a write-ahead log without its database from being replayed into a new one.
func refuseOrphanedWAL(path string) error {
	if _, err := os.Lstat(path + "-wal"); err == nil {
		return fmt.Errorf("%w: %s is missing, but %s-wal is there", ErrCorrupt, path, path)
	}
	return nil
}

// removeUnfinished clears away a database whose creation was interrupted.
func removeUnfinished(path string) error {
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %w", ErrNotWritable, err)
		}
	}
	return nil
}

// foldedBack makes sure that a closed database holds all that was written: SQLite's Close says nothing of a write-ahead
// log that it could not fold back for an I/O error, and leaves it beside the database.
func foldedBack(path string) error {
	if _, err := os.Lstat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s: its write-ahead log could not be folded back", ErrUnavailable, path)
	}
	return nil
}

// putInPlace gives a finished file its name, durably; its folder may be as new as the file.
func putInPlace(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	folder := filepath.Dir(to)
	return errors.Join(syncFolder(folder), syncFolder(filepath.Dir(folder)))
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil {
		return fmt.Errorf("%w: syncing %s: %w", ErrUnavailable, path, err)
	}
	return nil
}
