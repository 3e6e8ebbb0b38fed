package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/ledger"
)

// seeded is a source of chance whose seed is in the test's log; LEDGER_TEST_SEED repeats one.
func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("LEDGER_TEST_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("LEDGER_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// rounds counts to short, or where SOAK asks for the long form to long, but for no longer than SOAK. The race detector
// gets a twentieth of the short form.
func rounds(t testing.TB, short, long int) iter.Seq[int] {
	most, length, begin := short, soaking(t), time.Now()
	switch {
	case length > 0:
		most = long
	case underRace:
		most = (short + 19) / 20
	}
	return func(yield func(int) bool) {
		for n := range most {
			if length > 0 && time.Since(begin) > length {
				t.Logf("%d of %d rounds in %v", n, most, length)
				return
			}
			if !yield(n) {
				return
			}
		}
	}
}

// soaking is how long the long form of a test may take; 0 where SOAK does not ask for it.
func soaking(t testing.TB) time.Duration {
	asked := os.Getenv("SOAK")
	if asked == "" || asked == "0" {
		return 0
	}
	length, err := time.ParseDuration(asked)
	if err != nil {
		t.Fatalf("SOAK: %v", err)
	}
	return length
}

// history is what processes were told that one ledger had taken, and what was found in it afterwards.
type history struct {
	acknowledged map[string]uint64
	stored       map[string]uint64
	read         uint64 // the position up to which stored was filled
	total        int
}

func newHistory() *history {
	return &history{acknowledged: map[string]uint64{}, stored: map[string]uint64{}}
}

// Acknowledged takes a line of appendAndPrint that is no refusal.
func (h *history) Acknowledged(line string) {
	i := strings.LastIndexByte(line, ' ')
	position, err := strconv.ParseUint(line[i+1:], 10, 64)
	if err != nil {
		panic(fmt.Sprintf("the child says %q", line))
	}
	h.acknowledged[line[:i]] = position
	h.total++
}

// Forget begins a new ledger.
func (h *history) Forget() { *h = history{newHistory().acknowledged, map[string]uint64{}, 0, h.total} }

// compare reads what is new in l, and wants each acknowledged key at its position and nothing twice.
func (h *history) compare(l ledger.Ledger) error {
	for {
		tail, err := l.Tail(context.Background(), h.read, 1000)
		if err != nil {
			return err
		}
		if len(tail) == 0 {
			break
		}
		for _, e := range tail {
			if h.stored[e.RequestKey] != 0 {
				return fmt.Errorf("%q is at position %d and %d", e.RequestKey, h.stored[e.RequestKey], e.Position)
			}
			h.stored[e.RequestKey], h.read = e.Position, e.Position
		}
	}
	lost := 0
	for key, position := range h.acknowledged {
		if h.stored[key] != position {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d acknowledged facts are gone or elsewhere", lost, len(h.acknowledged))
	}
	if head, err := l.Head(context.Background()); err != nil || head != h.read {
		return fmt.Errorf("the head is %d, the last fact %d: %w", head, h.read, err)
	}
	return nil
}

// verified walks the whole chain too.
func (h *history) verified(l ledger.Ledger) error {
	r, err := l.Verify(context.Background())
	if err == nil && (!r.OK() || r.Sound != uint64(len(h.stored))) {
		err = fmt.Errorf("Verify reports %+v for %d facts", r, len(h.stored))
	}
	return err
}

// examine opens the ledger in a folder, which recovers it, and closes it.
func (h *history) examine(dir string, whole bool) (err error) {
	l, err := ledger.OpenSQLite(context.Background(), dir, ledger.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := h.compare(l); err != nil || !whole {
		return err
	}
	return h.verified(l)
}

// TestT16Kill9Ledger: whatever was acknowledged before kill -9 is there afterwards, once, where it was said to be. In
// one cycle of four the kill may come before the first acknowledgement, so in the opening or the recovery. Mutant:
// mutant_ack_before_write.
func TestT16Kill9Ledger(t *testing.T) {
	chance := seeded(t)
	dir, h, cycles := t.TempDir(), newHistory(), 0
	for cycle := range rounds(t, 150, 500) {
		cycles++
		wait, early := time.Duration(chance.IntN(20))*time.Millisecond, chance.IntN(4) == 0
		killWhileWriting(t, dir, cycle, wait, early, h)
		if err := h.examine(dir, cycle%25 == 24); err != nil {
			t.Fatalf("in cycle %d, killed after %v: %v", cycle, wait, err)
		}
	}
	if err := h.examine(dir, true); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cycles, %d facts acknowledged", cycles, h.total)
}

// killWhileWriting kills appendAndPrint some time after its first acknowledgement, or after its start.
func killWhileWriting(t *testing.T, dir string, cycle int, wait time.Duration, early bool, h *history) {
	t.Helper()
	cmd := writing(dir, cycle)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	killLater := func() { time.AfterFunc(wait, func() { _ = cmd.Process.Kill() }) }
	if early {
		once.Do(killLater)
	}
	eachLine(out, func(line string) {
		once.Do(killLater)
		if strings.HasPrefix(line, "refused ") {
			t.Errorf("the ledger that was to be killed says %q", line)
			return
		}
		h.Acknowledged(line)
	})
	_ = cmd.Wait()
}

// writing is appendAndPrint in a process of its own, not started yet.
func writing(dir string, cycle int) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+dir, fmt.Sprintf("%s=cycle%d", childKeys, cycle))
	cmd.Stderr = os.Stderr
	return cmd
}

// eachLine leaves out half a line, a key whose acknowledgement nobody heard.
func eachLine(from io.Reader, take func(string)) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		take(strings.TrimSuffix(line, "\n"))
	}
}
