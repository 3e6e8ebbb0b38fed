package journal

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/belpoort/belpoort/disktest"
)

// history is what processes were told that one journal had taken.
type history struct {
	t     *testing.T
	acked map[uint64]string
	total int
}

// Start appends until it is killed.
func (h *history) Start(dir string, cycle int) *exec.Cmd {
	cmd := child(h.t, "append", dir)
	cmd.Env = append(cmd.Env, "JOURNAL_TEST_CYCLE="+strconv.Itoa(cycle))
	return cmd
}

// Acknowledged takes a record's number and payload.
func (h *history) Acknowledged(line string) {
	seq, payload, _ := strings.Cut(line, " ")
	number, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		h.t.Fatalf("%q: %v", line, err)
	}
	if h.acked[number] != "" {
		h.t.Errorf("record %d was acknowledged twice", number)
	}
	h.acked[number] = payload
	h.total++
}

// Check wants every acknowledged record under its number, and nothing twice.
func (h *history) Check(dir string) error {
	d, err := openDirectory(dir)
	if err != nil {
		return err
	}
	first, payloads, err := readAll(d)
	if err := errors.Join(err, d.close()); err != nil {
		return err
	}
	seen := make(map[string]bool, len(payloads))
	for _, payload := range payloads {
		if seen[string(payload)] {
			return fmt.Errorf("%.40s is there twice", payload)
		}
		seen[string(payload)] = true
	}
	lost := 0
	for seq, payload := range h.acked {
		if at := seq - first; at >= uint64(len(payloads)) || string(payloads[at]) != payload {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d acknowledged records are gone or others", lost, len(h.acked))
	}
	return nil
}

// Forget begins a new journal.
func (h *history) Forget() { clear(h.acked) }

// TestT17PowerCut cuts the power under a process that appends. Mutant: mutant_journal_no_fsync.
func TestT17PowerCut(t *testing.T) {
	dir, inside := disktest.OwnMounts(t, 512)
	if !inside {
		return
	}
	h := &history{t: t, acked: map[uint64]string{}}
	disktest.CutPower(t, dir, seeded(t), rounds(t, 40, 1_000), h)
	t.Logf("%d records acknowledged", h.total)
}
