package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/belpoort/belpoort/loader"
)

// terminal is a pseudo-terminal: what a program writes to the one end, a screen reads from the other.
func terminal(t *testing.T) (program *os.File, screen func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 200}); err != nil {
		t.Fatal(err)
	}
	var shown lockedLog
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&shown, master) })
	t.Cleanup(func() {
		program.Close()
		master.Close()
		reading.Wait()
	})
	return program, shown.String
}

// On a terminal a bar moves while the import is under way, with what is left where the size is known, and it is gone at the end.
func TestABarMovesOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	file := entriesFile(t, t.TempDir(), 5_000)
	for _, c := range []struct {
		name string
		args []string
		left bool
	}{{"a file", []string{file}, true}, {"a pipe", []string{"-", "--rejects", filepath.Join(t.TempDir(), "r.csv")}, false}} {
		program, screen := terminal(t)
		var in io.Reader = strings.NewReader("")
		if !c.left {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in = bytes.NewReader(content)
		}
		go func() { // so that there is time to look
			time.Sleep(50 * time.Millisecond)
			_ = p.cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(time.Second)
			_ = p.cmd.Process.Signal(syscall.SIGCONT)
		}()
		var out bytes.Buffer
		code := run(t.Context(), append([]string{"import", "list-entries", "--data", p.data, "--address", p.grpc}, c.args...), in, &out, program)
		time.Sleep(50 * time.Millisecond)
		if code != exitFailed || !strings.Contains(out.String(), "5000 rows") {
			t.Fatalf("%s: exit %d\n%s", c.name, code, &out)
		}
		for _, want := range []string{" rows/s", " rejected", "\x1b["} {
			if !strings.Contains(screen(), want) {
				t.Errorf("%s: no %q in %q", c.name, want, screen())
			}
		}
		if strings.Contains(screen(), " of ") != c.left {
			t.Errorf("%s: %q", c.name, screen())
		}
	}
}

// Where nobody looks, progress is a line now and then, for people or for machines.
func TestProgressIsToldInLines(t *testing.T) {
	began := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	at := func(rows uint64, bytes int64) loader.Progress {
		return loader.Progress{Bytes: bytes, Checkpoint: loader.Checkpoint{Report: loader.Report{Rows: rows, Rejected: 3}}}
	}
	whole := &pace{began: began, size: 10_000}
	if got := whole.at(began.Add(10*time.Second), at(500, 2000)).String(); got != "500 rows, 50 rows/s, 2.0 KiB of 9.8 KiB, 3 rejected, 40s left" {
		t.Error(got)
	}
	resumed := &pace{began: began, size: 10_000} // passed over 4000 rows in no time: they are no measure
	resumed.at(began.Add(time.Second), at(4000, 8000))
	if got := resumed.at(began.Add(11*time.Second), at(4100, 8200)).String(); got != "4100 rows, 10 rows/s, 8.0 KiB of 9.8 KiB, 3 rejected, 1m30s left" {
		t.Error(got)
	}
	pipe := &pace{began: began}
	if got := pipe.at(began.Add(time.Second), at(500, 3<<30)).String(); got != "500 rows, 500 rows/s, 3.0 GiB, 3 rejected" {
		t.Error(got)
	}
	var lines []string
	l := &progressLines{every: time.Hour, pace: &pace{began: time.Now()}, line: func(s progressShown) { lines = append(lines, s.String()) }}
	for range 100 {
		l.show(at(1, 1))
	}
	l.every = 0
	l.show(at(2, 2))
	if l.end(); len(lines) != 1 || !strings.HasPrefix(lines[0], "2 rows") {
		t.Errorf("%q", lines)
	}
}

// For machines progress is an object a line, while rows come in.
func TestProgressIsToldAsJSON(t *testing.T) {
	in, feed := io.Pipe()
	go func() {
		fmt.Fprint(feed, "telefoon;lijst;geladen op\n")
		for i := range 2 * loader.MaxBatch {
			fmt.Fprintf(feed, "%s;branche;2026-11-01\n", subject(i))
			if i == loader.MaxBatch/2 {
				time.Sleep(jsonEvery + 100*time.Millisecond)
			}
		}
		feed.Close()
	}()
	var out, said bytes.Buffer
	code := run(t.Context(), []string{"import", "list-entries", "-", "--dry-run", "--json", "--rejects", filepath.Join(t.TempDir(), "r.csv")}, in, &out, &said)
	if shown := shownReport(t, out.String()); code != exitOK || shown.Valid != 2*loader.MaxBatch {
		t.Fatalf("exit %d, %+v", code, shown)
	}
	var event importEvent
	if err := json.Unmarshal([]byte(strings.SplitN(said.String(), "\n", 2)[0]), &event); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	if p := event.Progress; event.Event != "progress" || event.File != "standard input" || p == nil || p.Rows == 0 || p.Bytes == 0 || p.PerSec <= 0 || p.Left != nil {
		t.Errorf("%+v, %+v", event, event.Progress)
	}
}

// What stands in names and headers cannot make a terminal do anything.
func TestATerminalIsNotCommanded(t *testing.T) {
	p := stocked(t)
	dir := t.TempDir()
	const evil = "\x1b[2J\x9b31m\u009b"
	header := write(t, dir, "h"+evil+".csv", "telefoon"+evil+";organisatie;datum;via\n06-12345671;voltwerk;2026-11-01 10:00;web\n")
	cells := write(t, dir, "c"+evil+".csv", "telefoon;organisatie;datum;via\n06"+evil+";voltwerk;2026-11-01 10:00;web\n=1+1;voltwerk;=cmd|'/c calc'!A0;@SUM(1)\n06-12345671;voltwerk"+evil+";2026-11-01 10:00;web\n06-12345672;nobody;2026-11-01 10:00;web\n")
	mapping := write(t, dir, "m"+evil+".yaml", "columns:\n  \"a\\e[2J\": nope\n")
	said := ""
	for _, args := range [][]string{
		{header}, {cells}, {cells, "--json"}, {cells, "--dry-run"}, {cells, "--mapping", mapping}, {filepath.Join(dir, "none"+evil)}, {cells, "--id", "a" + evil},
	} {
		_, out := p.cli(append([]string{"import", "objections"}, args...)...)
		said += out
	}
	said += p.must("imports")
	rejects, err := os.ReadFile(filepath.Join(dir, "c"+evil+".rejects.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"the screen": said, "the rejects": string(rejects)} {
		if strings.ContainsAny(text, "\x1b\u009b") || strings.Contains(text, "\x9b") {
			t.Errorf("%s: %q", what, text)
		}
	}
	for line := range strings.Lines(string(rejects)) {
		for cell := range strings.SplitSeq(strings.TrimSpace(line), ",") {
			if cell = strings.Trim(cell, `"`); cell != "" && strings.ContainsAny(cell[:1], "=+-@\t") {
				t.Errorf("a spreadsheet would run %q", cell)
			}
		}
	}
}
