package ops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// stuck is a file on a disk that does not answer.
type stuck struct{ answer chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	<-s.answer
	return len(p), nil
}

// A file that hangs holds up nobody who decides; what does not fit is dropped, counted, and told of once.
func TestADecisionLogNeverWaits(t *testing.T) {
	var told sync.WaitGroup
	told.Add(1) // a second call of Done would panic
	disk := stuck{make(chan struct{})}
	l := NewDecisionLog(disk, words(), told.Done)
	const more = 500
	noted := make(chan struct{})
	go func() {
		defer close(noted)
		for range 2*maxWaitingDecisions + more { // those that wait and those that the hung write holds, at most, and more
			l.Note(&Decided{DecisionID: "d", Verdict: 1, Reason: 1})
		}
	}()
	select {
	case <-noted:
	case <-time.After(20 * time.Second):
		t.Fatal("a check waits for the log")
	}
	told.Wait()
	if l.Dropped() < more {
		t.Errorf("%d dropped", l.Dropped())
	}
	close(disk.answer)
	l.Close()
	l.Note(&Decided{DecisionID: "late"})
}

func TestADecisionLogIsWrittenToItsEnd(t *testing.T) {
	var file bytes.Buffer
	l := NewDecisionLog(&file, words(), func() { t.Error("behind") })
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("", 7200))
	for i := range 3000 {
		l.Note(&Decided{DecisionID: fmt.Sprint(i), Verdict: 2, Reason: 3, At: at, Took: 1500 * time.Microsecond, LedgerPosition: 7, Campaign: "a<b"})
	}
	l.Note(&Decided{Verdict: 1, Reason: 1}) // a dry run
	l.Close()
	lines := strings.Split(strings.TrimSuffix(file.String(), "\n"), "\n")
	if len(lines) != 3000 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		want := fmt.Sprintf(`{"decision_id":"%d","time":"2026-07-01T10:00:00Z","callee_token":"","campaign":"a<b","organisation":"","verdict":"DENY",`+
			`"reason":"OBJECTED","law_version":"","ledger_position":7,"door":"","client":"","took_seconds":0.0015}`, i)
		if line != want {
			t.Fatalf("got %s\nwant %s", line, want)
		}
	}
}

// A log is put aside when it is full, and so many of those are kept.
func TestALogIsRotatedAndTheOldestGo(t *testing.T) {
	name := filepath.Join(t.TempDir(), "service.log")
	f, err := OpenLogFile(name, 1, 2, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for i := range 5 * 1024 {
		if _, err := f.Write(line); err != nil {
			t.Fatal(err)
		}
		if i%1024 == 0 {
			time.Sleep(2 * time.Millisecond) // files put aside are told apart by the millisecond
		}
	}
	var found []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if found, _ = filepath.Glob(filepath.Join(filepath.Dir(name), "service*.log")); len(found) == 3 {
			break // the oldest are removed in the background
		}
	}
	if len(found) != 3 || f.Lost() != 0 {
		t.Errorf("files %v, %d lost", found, f.Lost())
	}
	for _, file := range found {
		info, err := os.Stat(file)
		if err != nil || info.Size() > 1<<20 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{t.TempDir(), filepath.Join(name, "below"), "/dev/null"} {
		if _, err := OpenLogFile(bad, 1, 1, nil); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// narrow takes so many bytes, then fails until it is given room.
type narrow struct {
	bytes.Buffer
	room int
}

var errFull = &os.PathError{Op: "write", Path: "secret-path", Err: errors.New("no space left on device")}

func (n *narrow) Write(p []byte) (int, error) {
	if len(p) > n.room {
		taken, _ := n.Buffer.Write(p[:n.room])
		n.room = 0
		return taken, errFull
	}
	n.room -= len(p)
	return n.Buffer.Write(p)
}

// A line that a full disk cut short spoils none that come after; each that is lost is counted, and it is told of once.
func TestALogThatIsFullGoesOnLater(t *testing.T) {
	disk, told := &narrow{room: 13}, 0
	f := NewLogStream("the log", disk, func(err error) {
		if told++; err.Error() != "the log cannot be written; lines are lost: no space left on device" {
			t.Error(err)
		}
	})
	for range 5 {
		if n, err := f.Write([]byte("{\"a\":1}\n")); n != 8 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	disk.room = 1000
	if _, err := f.Write([]byte("{\"a\":2}\n{\"a\":3}\n")); err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSuffix(disk.String(), "\n"), "\n")
	whole := 0
	for _, line := range lines {
		if json.Valid([]byte(line)) {
			whole++
		}
	}
	if len(lines) != 4 || whole != 3 || f.Lost() != 4 || told != 1 {
		t.Errorf("%d of %q are whole, %d lost, told %d times", whole, lines, f.Lost(), told)
	}
}
