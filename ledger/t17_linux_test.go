package ledger_test

import (
	"os/exec"
	"testing"

	"github.com/belpoort/belpoort/disktest"
)

// powerless is a history whose writers lose their power.
type powerless struct {
	*history
	cycles int
}

// Start appends until it is killed.
func (p *powerless) Start(dir string, cycle int) *exec.Cmd { return writing(dir, cycle) }

// Check opens what the cut left, and now and then walks the whole chain.
func (p *powerless) Check(dir string) error {
	p.cycles++
	return p.examine(dir, p.cycles%5 == 0)
}

// TestT17PowerCut cuts the power under a process that appends. Mutant: mutant_ledger_no_fsync.
func TestT17PowerCut(t *testing.T) {
	dir, inside := disktest.OwnMounts(t, 1024)
	if !inside {
		return
	}
	p := &powerless{history: newHistory()}
	disktest.CutPower(t, dir, seeded(t), rounds(t, 40, 1_000), p)
	t.Logf("%d facts acknowledged", p.total)
}
