package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
)

// What a test tells its child: the folder, the start of its request keys, and the largest file it may write, in bytes.
const (
	childFolder = "BELPOORT_TEST_LEDGER"
	childKeys   = "BELPOORT_TEST_KEYS"
	childLimit  = "BELPOORT_TEST_FILE_LIMIT"
)

// appendAndPrint is the child: eight callers append as fast as they can and print each key once it is acknowledged.
func appendAndPrint(dir string) int {
	l, err := ledger.OpenSQLite(context.Background(), dir, ledger.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if limit, err := strconv.ParseUint(os.Getenv(childLimit), 10, 64); err == nil {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	var callers sync.WaitGroup
	for c := range 8 {
		callers.Go(func() { appendUntilRefused(l, c) })
	}
	callers.Wait()
	return 0
}

// appendUntilRefused tries a few times more after the first refusal.
func appendUntilRefused(l ledger.Ledger, caller int) {
	for n, refusals := 0, 0; refusals < 5; n++ {
		key := fmt.Sprintf("%s-%d-%d", os.Getenv(childKeys), caller, n)
		got, err := l.Append(context.Background(), []ledger.Append{ledgertest.Fact(caller, key)})
		if err != nil {
			fmt.Fprintln(os.Stdout, "refused", errors.Is(err, ledger.ErrUnavailable), err)
			refusals++
			continue
		}
		fmt.Fprintln(os.Stdout, key, got[0].Position)
	}
}

// child runs appendAndPrint in a process of its own, and hands each line to take.
func child(t *testing.T, take func(kill func(), line string), env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // half a line is a key whose acknowledgement nobody heard
			break
		}
		take(func() { _ = cmd.Process.Kill() }, strings.TrimSuffix(line, "\n"))
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
}

func checkAcknowledged(t *testing.T, dir string, acknowledged map[string]uint64) {
	t.Helper()
	l := open(t, dir, ledger.Options{})
	defer l.Close()
	wantStored(t, l, acknowledged)
}

// wantStored wants each acknowledged key at its position, nothing twice, and a sound chain.
func wantStored(t *testing.T, l ledger.Ledger, acknowledged map[string]uint64) {
	t.Helper()
	stored := map[string]uint64{}
	after := uint64(0)
	for {
		tail, err := l.Tail(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(tail) == 0 {
			break
		}
		for _, e := range tail {
			if stored[e.RequestKey] != 0 {
				t.Errorf("%q is at position %d and %d", e.RequestKey, stored[e.RequestKey], e.Position)
			}
			stored[e.RequestKey] = e.Position
		}
		after = tail[len(tail)-1].Position
	}
	for key, position := range acknowledged {
		if stored[key] != position {
			t.Errorf("%q was acknowledged at position %d and is at %d", key, position, stored[key])
		}
	}
	if r, err := l.Verify(t.Context()); err != nil || !r.OK() || r.Sound != uint64(len(stored)) {
		t.Errorf("Verify reports %+v, %v for %d facts", r, err, len(stored))
	}
}

// TestWriteErrorStopsTheLedger: the kernel refuses to let the write-ahead log grow. Nothing acknowledged is lost,
// and nothing more is acknowledged until the ledger is opened anew.
func TestWriteErrorStopsTheLedger(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]uint64{}
	var refusals []string
	child(t, func(kill func(), line string) {
		if text, refused := strings.CutPrefix(line, "refused "); refused {
			refusals = append(refusals, text)
			return
		}
		i := strings.LastIndexByte(line, ' ')
		if everyCallerRefused := len(refusals) > 7*5; everyCallerRefused {
			t.Errorf("acknowledged %q after every caller was refused", line)
		}
		acknowledged[line[:i]], _ = strconv.ParseUint(line[i+1:], 10, 64)
	}, childFolder+"="+dir, childKeys+"=limited", childLimit+"=300000")
	if len(acknowledged) == 0 || len(refusals) != 8*5 {
		t.Fatalf("%d acknowledged, %d refusals of 8 callers that each stop at 5", len(acknowledged), len(refusals))
	}
	for _, r := range refusals {
		if !strings.HasPrefix(r, "true ") || !strings.Contains(r, "stopped after an I/O error") {
			t.Errorf("refused with %q", r)
		}
	}
	checkAcknowledged(t, dir, acknowledged)
}
