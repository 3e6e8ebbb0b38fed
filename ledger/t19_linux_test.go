package ledger_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belpoort/belpoort/disktest"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
)

// made is about how many fsyncs the making of a ledger takes.
const made = 13

// TestT19FsyncError has one fsync answered with EIO by a disk that then forgets what it was to keep. The ledger
// acknowledges nothing from then on, and a power cut takes nothing that was acknowledged. Mutant:
// mutant_ledger_past_io_error.
func TestT19FsyncError(t *testing.T) {
	own, inside := disktest.OwnMounts(t, 512)
	if !inside {
		return
	}
	chance, met, acknowledged := seeded(t), map[string]int{}, 0
	for round := range rounds(t, 20, 1_500) {
		dir := filepath.Join(own, fmt.Sprint("round", round))
		fail := made - round // the database's last fsyncs before it gets its name, which SQLite's Close says nothing of
		if fail < made-6 {
			fail = 1 + chance.IntN(250)
		}
		disk := disktest.NewForgetful(t, filepath.Join(dir, "mount"), fail)
		h := newHistory()
		wentOn := insistOn(t, disk, fail, h)
		name, syncs := disk.Failed()
		if name == "" {
			t.Fatalf("round %d: no fsync of %d failed, want number %d", round, syncs, fail)
		}
		if wentOn {
			name += ", which stopped nothing"
		}
		met[name]++
		disk.CutPower(filepath.Join(dir, "left"))
		if err := h.examine(filepath.Join(dir, "left", "ledger"), true); err != nil {
			t.Fatalf("round %d: fsync %d, of %s, failed: %v", round, fail, name, err)
		}
		acknowledged += h.total
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d facts acknowledged; the fsyncs that failed: %v", acknowledged, met)
}

// insistOn runs appendAndPrint on the disk. Once a caller is refused, nobody may be acknowledged any more, but for what
// the other seven had been told already. It says whether the ledger had to be killed because it went on: SQLite keeps to
// itself that an fsync failed in folding the write-ahead log back, which is done again, or on a folder.
func insistOn(t *testing.T, disk *disktest.Forgetful, fail int, h *history) (wentOn bool) {
	t.Helper()
	cmd := writing(filepath.Join(disk.Dir(), "ledger"), 0)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	refusals, late := 0, 0
	eachLine(out, func(line string) {
		if text, refused := strings.CutPrefix(line, "refused "); refused {
			refusals++
			if !strings.HasPrefix(text, "true ") {
				t.Errorf("refused with %q", text)
			}
			return
		}
		h.Acknowledged(line)
		if refusals > 0 {
			late++
		}
		if _, syncs := disk.Failed(); syncs > fail+100 && !wentOn {
			wentOn = true
			_ = cmd.Process.Kill()
		}
	})
	_ = cmd.Wait()
	if late > 7 {
		t.Errorf("%d facts were acknowledged after a refusal", late)
	}
	return wentOn
}

// TestT19DiskFull fills an ext4 file system of 64 MiB: that is an error and no end, and with room again the same ledger
// goes on.
func TestT19DiskFull(t *testing.T) {
	own, inside := disktest.OwnMounts(t, 256)
	if !inside {
		return
	}
	disk := disktest.NewImage(t, own, 64)
	ballast, dir := filepath.Join(disk.Dir(), "ballast"), filepath.Join(disk.Dir(), "ledger")
	if err := os.WriteFile(ballast, make([]byte, 48<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	h, l := newHistory(), open(t, dir, ledger.Options{})
	full := fill(t, l, h, 0, 1<<20)
	if full == 1<<20 {
		t.Fatal("the disk never was full")
	}
	if again := fill(t, l, h, full, 1); again > full+1 {
		t.Fatalf("%d appends fit a full disk", again-full)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if room := fill(t, l, h, full+1, 100); room != full+101 {
		t.Fatalf("with room again, %d of 100 appends were refused", full+101-room)
	}
	if err := errors.Join(l.Close(), h.examine(dir, true)); err != nil {
		t.Fatal(err)
	}
	t.Logf("full after %d facts", full)
}

// fill appends up to most facts, from key number from on, until the ledger refuses one, and gives the number it came to.
func fill(t *testing.T, l ledger.Ledger, h *history, from, most int) int {
	t.Helper()
	for n := from; n < from+most; n++ {
		f := ledgertest.Fact(n, fmt.Sprint("key ", n))
		f.Payload = make([]byte, 2000)
		got, err := l.Append(t.Context(), []ledger.Append{f})
		if err != nil {
			if !errors.Is(err, ledger.ErrUnavailable) {
				t.Errorf("on a full disk: %v", err)
			}
			return n
		}
		h.acknowledged[f.RequestKey] = got[0].Position
	}
	return from + most
}
