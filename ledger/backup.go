package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Backup is a copy of a ledger, as it stood at one moment.
type Backup struct {
	Path   string
	Head   uint64   // its last position
	Hash   [32]byte // of the fact there
	Erased uint64
	Bytes  int64
}

// BackupSQLite copies the ledger in a folder into a new file, while a process may be writing it. The copy holds everything
// that was acknowledged before the call, is walked whole before it gets its name, and is durable when the call returns. A
// file that is there is never replaced.
func BackupSQLite(ctx context.Context, dir, to string) (Backup, error) {
	from := filepath.Join(dir, databaseName)
	if exists, err := inspectFile(from); err != nil || !exists {
		return Backup{}, errors.Join(err, absent(from, exists))
	}
	if err := mustBeAbsent(to); err != nil {
		return Backup{}, err
	}
	scratch, remove, err := scratchIn(filepath.Dir(to), ".backup-")
	if err != nil {
		return Backup{}, err
	}
	defer remove()
	copied := filepath.Join(scratch, databaseName)
	if err := copyDatabase(ctx, from, copied); err != nil {
		return Backup{}, fault(from, err)
	}
	return adopt(ctx, scratch, to)
}

// RestoreSQLite makes a ledger of a backup, in a folder that has none.
func RestoreSQLite(ctx context.Context, from, dir string) (Backup, error) {
	if exists, err := inspectFile(from); err != nil || !exists {
		return Backup{}, errors.Join(err, absent(from, exists))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Backup{}, fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	to := filepath.Join(dir, databaseName)
	if err := mustBeAbsent(to); err != nil {
		return Backup{}, err
	}
	scratch, remove, err := scratchIn(dir, ".restore-")
	if err != nil {
		return Backup{}, err
	}
	defer remove()
	if err := copyBytes(from, filepath.Join(scratch, databaseName)); err != nil {
		return Backup{}, err
	}
	return adopt(ctx, scratch, to)
}

func absent(path string, exists bool) error {
	if exists {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNotFound, path)
}

func mustBeAbsent(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("%w: %s is there already", ErrInvalid, path), err)
	}
	return refuseOrphanedWAL(path)
}

// copyDatabase reads within one transaction, whatever is written meanwhile, and leaves out what is no longer in use.
func copyDatabase(ctx context.Context, from, to string) error {
	pragmas := readerPragmas()
	pragmas["_pragma"] = []string{fmt.Sprintf("busy_timeout(%d)", busyTimeout), "synchronous(FULL)"}
	source, err := openPool(from, pragmas, 1)
	if err != nil {
		return err
	}
	_, err = source.ExecContext(ctx, "VACUUM INTO ?", to)
	if err = errors.Join(err, source.Close()); err != nil {
		return err
	}
	copied, err := openPool(to, writerPragmas(), 1) // whose pragmas bring it back to WAL mode
	if err != nil {
		return err
	}
	return errors.Join(copied.PingContext(ctx), copied.Close(), foldedBack(to))
}

func copyBytes(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	_, err = io.Copy(target, source)
	if err = errors.Join(err, target.Sync(), target.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	return nil
}

// adopt walks the ledger in scratch whole, and gives it its name if it is sound.
func adopt(ctx context.Context, scratch, to string) (Backup, error) {
	report, err := verifyFolder(ctx, scratch)
	if err != nil {
		return Backup{}, err
	}
	if !report.OK() && !mutantBackupUnchecked {
		return Backup{}, fmt.Errorf("%w: position %d: %s", ErrCorrupt, report.Wrong, report.Problem)
	}
	path := filepath.Join(scratch, databaseName)
	info, err := os.Stat(path)
	if err != nil {
		return Backup{}, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return Backup{}, fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return Backup{}, err
	}
	if err := errors.Join(file.Sync(), file.Close(), os.Link(path, to)); err != nil { // a link never replaces
		return Backup{}, fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	done := Backup{Path: to, Head: report.Head, Hash: report.Hash, Erased: report.Erased, Bytes: info.Size()}
	return done, syncFolder(filepath.Dir(to))
}

func verifyFolder(ctx context.Context, dir string) (VerifyReport, error) {
	s, err := OpenSQLite(ctx, dir, Options{})
	if err != nil {
		return VerifyReport{}, err
	}
	report, err := s.Verify(ctx)
	return report, errors.Join(err, s.Close())
}
