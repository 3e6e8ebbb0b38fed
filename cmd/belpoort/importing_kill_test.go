package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/belpoort/belpoort/ledger"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// badEvery is how often a row of a test's file is a bad one.
const badEvery = 1000

// entriesFile has rows of a suppression list, some of them bad.
func entriesFile(t testing.TB, dir string, rows int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("telefoon;lijst;geladen op\n")
	for i := range rows {
		number := subject(i)
		if i%badEvery == 7 {
			number = "onbekend"
		}
		fmt.Fprintf(&b, "%s;branche;2026-11-01\n", number)
	}
	return write(t, dir, "entries.csv", b.String())
}

// importProcess is a `belpoort import` of its own, which can be killed.
type importProcess struct {
	cmd *exec.Cmd
	out *lockedLog
}

func (p *process) beginImport(args ...string) *importProcess {
	p.t.Helper()
	i := &importProcess{out: &lockedLog{}}
	i.cmd = exec.Command(os.Args[0], append([]string{"import", "--data", p.data, "--address", p.grpc}, args...)...)
	i.cmd.Env = append(os.Environ(), beMain+"=1")
	i.cmd.Stdout, i.cmd.Stderr = i.out, i.out
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := i.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = i.cmd.Process.Kill() })
	return i
}

// wait gives the exit code; -1 where it was killed.
func (i *importProcess) wait() int {
	_ = i.cmd.Wait()
	return i.cmd.ProcessState.ExitCode()
}

// notedRows is how far an import has noted to be; -1 where there is no note.
func notedRows(t testing.TB, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		return -1
	}
	var s importState
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return int(s.Checkpoint.Rows)
}

// An import that is killed again and again, and loses its service once, has every row in the ledger once at the end, every
// bad one in the rejects file once, and a report that says so. The mutant mutant_import_noted_early must fail here.
func TestAnImportSurvivesKillNine(t *testing.T) {
	const rows, kills = 20_000, 3
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	file := entriesFile(t, t.TempDir(), rows)
	note := file + ".import"
	began := time.Now()
	at := 0
	for range kills {
		i := p.beginImport("list-entries", file)
		comesTrue(t, time.Minute, "the import notes how far it is", func() bool { return notedRows(t, note) > at })
		_ = i.cmd.Process.Kill()
		if code := i.wait(); code != -1 {
			t.Fatalf("the import had ended: exit %d\n%s", code, i.out)
		}
		if at = notedRows(t, note); at >= rows-5000 {
			t.Fatalf("too fast to be killed: at row %d", at)
		}
		t.Logf("killed after row %d", at)
	}

	i := p.beginImport("list-entries", file)
	comesTrue(t, time.Minute, "the import notes how far it is", func() bool { return notedRows(t, note) > at })
	_ = p.cmd.Process.Signal(syscall.SIGSTOP) // so that a batch is on its way when the service dies
	time.Sleep(300 * time.Millisecond)
	p.kill()
	if code := i.wait(); code != exitUnavailable || !strings.Contains(i.out.String(), "the same command goes on after row") {
		t.Fatalf("without a service: exit %d\n%s", code, i.out)
	}
	t.Logf("the service was killed after row %d", notedRows(t, note))
	p.begin()
	p.awaitReady()

	i = p.beginImport("list-entries", file)
	if code := i.wait(); code != exitFailed || !strings.Contains(i.out.String(), "goes on after row") {
		t.Fatalf("exit %d\n%s", code, i.out)
	}
	t.Logf("done after %v\n%s", time.Since(began).Round(time.Millisecond), i.out)
	bad := rows / badEvery
	wantRejectedOnce(t, strings.TrimSuffix(file, ".csv")+".rejects.csv", bad)
	if _, err := os.Stat(note); !os.IsNotExist(err) {
		t.Errorf("the note is still there: %v", err)
	}
	wantReported(t, p, func(m *belpoortv1.ImportReport) bool {
		return m.GetRows() == rows && m.GetRejected() == uint64(bad) && m.GetRejectedByReason()["bad_number"] == uint64(bad) && m.GetUnconfirmed() == 0 &&
			m.GetRecorded()+m.GetUnchanged() == uint64(rows-bad) && m.GetRecorded() > 0 && m.GetResumed() == kills+1 && m.GetFile() == "entries.csv"
	})
	p.stop()
	wantOnce(t, folder(p.data).ledger(), rows-bad)
}

func wantRejectedOnce(t *testing.T, path string, bad int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil || len(lines) != bad+1 || lines[0][0] != "line" {
		t.Fatalf("%d lines of rejects, want %d: %v", len(lines), bad+1, err)
	}
	for i, line := range lines[1:] {
		if line[0] != strconv.Itoa(i*badEvery+7+2) {
			t.Errorf("reject %d is of line %s", i, line[0])
		}
	}
}

// wantReported finds the one report of a completed import.
func wantReported(t *testing.T, p *process, right func(*belpoortv1.ImportReport) bool) {
	t.Helper()
	completed := 0
	for _, i := range importsOf(t, p).GetImports() {
		if m := i.GetReport(); m.GetOutcome() == belpoortv1.ImportOutcome_IMPORT_OUTCOME_COMPLETED {
			completed++
			if !right(m) {
				t.Errorf("the report is %v", m)
			}
		}
	}
	if completed != 1 {
		t.Errorf("%d reports of it", completed)
	}
}

// wantOnce reads a stopped service's ledger, and wants so many list entries, each about somebody else.
func wantOnce(t *testing.T, path string, want int) {
	t.Helper()
	l, err := ledger.OpenSQLite(t.Context(), path, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	seen := map[string]bool{}
	entries := 0
	for after := uint64(0); ; {
		found, _, err := l.OfKinds(t.Context(), []int32{record.KindListEntry}, after, ledger.MaxTail)
		if err != nil {
			t.Fatal(err)
		}
		for i := range found {
			entries++
			seen[found[i].Callee.String()] = true
			after = found[i].Position
		}
		if len(found) < ledger.MaxTail {
			break
		}
	}
	if entries != want || len(seen) != want {
		t.Errorf("%d entries about %d callees in the ledger, want %d once each", entries, len(seen), want)
	}
}
