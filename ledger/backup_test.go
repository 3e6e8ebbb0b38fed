package ledger_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
)

// A backup taken while the ledger is written holds all that was acknowledged before, and what is restored from it is a
// ledger that goes on.
func TestABackupWhileItIsWritten(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "ledger"), t.TempDir()
	l := open(t, dir, ledger.Options{})
	for i := range 300 {
		mustAppend(t, l, ledgertest.Fact(i%7, fmt.Sprint("before ", i)))
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				if _, err := l.Append(t.Context(), []ledger.Append{ledgertest.Fact(i%7, fmt.Sprint("during ", i))}); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	file := filepath.Join(folder, "backup.db")
	taken, err := ledger.BackupSQLite(t.Context(), dir, file)
	close(stop)
	writing.Wait()
	if err != nil || taken.Head < 300 || taken.Path != file {
		t.Fatalf("%+v, %v", taken, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || info.Size() != taken.Bytes {
		t.Errorf("the file: %v, %v", info, err)
	}
	if left, _ := os.ReadDir(folder); len(left) != 1 {
		t.Errorf("left beside the backup: %v", left)
	}
	if _, err := ledger.BackupSQLite(t.Context(), dir, file); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a backup over another: %v", err)
	}
	entry, err := l.Entry(t.Context(), taken.Head)
	if err != nil || entry.Hash != taken.Hash {
		t.Errorf("the hash of position %d: %v", taken.Head, err)
	}
	again := filepath.Join(t.TempDir(), "data", "ledger")
	restored, err := ledger.RestoreSQLite(t.Context(), file, again)
	if err != nil || restored.Head != taken.Head || restored.Hash != taken.Hash {
		t.Fatalf("restored %+v, %v", restored, err)
	}
	if _, err := ledger.RestoreSQLite(t.Context(), file, dir); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a restore over a ledger: %v", err)
	}
	r := open(t, again, ledger.Options{})
	if got := mustAppend(t, r, ledgertest.Fact(1, "after")); got[0].Position != taken.Head+1 {
		t.Errorf("the next position is %d", got[0].Position)
	}
	if got := mustAppend(t, r, ledgertest.Fact(0, "before 0")); !got[0].Repeated {
		t.Error("the backup forgot a request")
	}
}

// A backup that is not what was written becomes no ledger. The mutant mutant_backup_unchecked must fail here.
func TestARottenBackupIsNotRestored(t *testing.T) {
	file := filepath.Join(t.TempDir(), "backup.db")
	if _, err := ledger.BackupSQLite(t.Context(), filled(t, 20), file); err != nil {
		t.Fatal(err)
	}
	alter(t, file, "UPDATE facts SET payload = x'00' WHERE position = 7")
	dir := filepath.Join(t.TempDir(), "ledger")
	if _, err := ledger.RestoreSQLite(t.Context(), file, dir); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("restored: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "ledger.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is there: %v", err)
	}
	for what, from := range map[string]string{"nothing": filepath.Join(t.TempDir(), "no.db"), "a folder": t.TempDir()} {
		if _, err := ledger.RestoreSQLite(t.Context(), from, filepath.Join(t.TempDir(), "ledger")); err == nil {
			t.Errorf("%s was restored", what)
		}
	}
}

// What a backup or a restore left behind that was killed goes with the next one; what one that runs has made stays.
func TestWhatAKilledCopyLeftIsRemoved(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "ledger"), t.TempDir()
	l := open(t, dir, ledger.Options{})
	mustAppend(t, l, ledgertest.Fact(1, "one"))
	leave := func(in, name string) string {
		t.Helper()
		left := filepath.Join(in, name)
		if err := errors.Join(os.MkdirAll(left, 0o700), os.WriteFile(filepath.Join(left, "ledger.db"), []byte("half a copy"), 0o600)); err != nil {
			t.Fatal(err)
		}
		return left
	}
	killed, running := leave(folder, ".backup-1"), leave(folder, ".backup-2")
	held, err := os.Open(running)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "backup.db")
	if _, err := ledger.BackupSQLite(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "ledger")
	restoring := leave(again, ".restore-1")
	if _, err := ledger.RestoreSQLite(t.Context(), file, again); err != nil {
		t.Fatal(err)
	}
	for path, stays := range map[string]bool{killed: false, running: true, restoring: false} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v", path, err)
		}
	}
}
