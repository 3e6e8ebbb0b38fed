package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belpoort/belpoort/disktest"
)

// TestT19FsyncError has one fsync answered with EIO by a disk that then forgets what it was to keep. The journal refuses
// everything from then on, and a power cut takes nothing that was acknowledged. Mutant: mutant_journal_retry_fsync.
func TestT19FsyncError(t *testing.T) {
	own, inside := disktest.OwnMounts(t, 512)
	if !inside {
		return
	}
	r := seeded(t)
	acked, met := 0, map[string]int{}
	for round := range rounds(t, 30, 10_000) {
		dir := filepath.Join(own, fmt.Sprint("round", round))
		disk := disktest.NewForgetful(t, filepath.Join(dir, "mount"), 1+r.IntN(100))
		h := &history{t: t, acked: map[uint64]string{}}
		insistOn(t, filepath.Join(disk.Dir(), "journal"), h)
		name, syncs := disk.Failed()
		if name == "" {
			t.Fatalf("round %d: no fsync of %d failed", round, syncs)
		}
		met[kindOf(name)]++
		disk.CutPower(filepath.Join(dir, "left"))
		if err := h.Check(filepath.Join(dir, "left", "journal")); err != nil {
			t.Fatalf("round %d: fsync of %s failed: %v", round, name, err)
		}
		acked += h.total
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d records acknowledged; the fsyncs that failed: %v", acked, met)
}

// kindOf is a file's name without its number.
func kindOf(name string) string { return strings.Trim(name, "0123456789.-") }

// insistOn runs childInsists and wants no caller acknowledged after it was refused.
func insistOn(t *testing.T, dir string, h *history) {
	t.Helper()
	cmd := child(t, "insist", dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "not opened: "):
		case strings.HasPrefix(line, "refused "):
			words := strings.Fields(line)
			refused[words[1]] = true
			if words[2] != "true" {
				t.Errorf("caller %s was refused, but the journal has not failed", words[1])
			}
		default:
			h.Acknowledged(line)
			_, payload, _ := strings.Cut(line, " ")
			if caller, _, _ := strings.Cut(payload, "/"); refused[caller] {
				t.Fatalf("caller %s was acknowledged %q after a refusal", caller, line)
			}
		}
	}
}

// TestT19DiskFullExt4 is TestT19DiskFull on an ext4 file system of 64 MiB, which allocates later than a tmpfs does.
func TestT19DiskFullExt4(t *testing.T) {
	own, inside := disktest.OwnMounts(t, 256)
	if !inside {
		return
	}
	disk := disktest.NewImage(t, own, 64)
	ballast := filepath.Join(disk.Dir(), "ballast")
	if err := os.WriteFile(ballast, make([]byte, 50<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fillUp(filepath.Join(disk.Dir(), "journal"), ballast); err != nil {
		t.Fatal(err)
	}
}
