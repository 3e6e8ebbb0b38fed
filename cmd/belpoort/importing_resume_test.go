package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// cutOff begins an import and kills it when it has noted some rows.
func (p *process) cutOff(file, note string, args ...string) (rows int) {
	p.t.Helper()
	i := p.beginImport(args...)
	comesTrue(p.t, time.Minute, "the import notes how far it is", func() bool { return notedRows(p.t, note) > 0 })
	_ = i.cmd.Process.Kill()
	if code := i.wait(); code != -1 {
		p.t.Fatalf("the import had ended: exit %d\n%s", code, i.out)
	}
	return notedRows(p.t, note)
}

// An import that was cut off goes on only as the same import of the same file. The mutant mutant_import_any_file must fail here.
func TestOnlyTheSameImportGoesOn(t *testing.T) {
	const rows = 20_000
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	dir := t.TempDir()
	file := entriesFile(t, dir, rows)
	note, rejects := file+".import", filepath.Join(dir, "entries.rejects.csv")
	p.cutOff(file, note, "list-entries", file)
	noted, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	refusedWith := func(what, want string, args ...string) {
		t.Helper()
		code, out := p.cli(append([]string{"import"}, args...)...)
		if code != exitUsage || !strings.Contains(out, want) || !strings.Contains(out, "--restart") {
			t.Errorf("%s: exit %d\n%s", what, code, out)
		}
	}
	refusedWith("another kind", "as list-entries", "objections", file)
	refusedWith("another source", "another --source, mapping", "list-entries", file, "--source", "crm")
	refusedWith("a mapping", "another --source, mapping", "list-entries", file, "--default", "since=2026-01-01")
	refusedWith("an id", "as imp-", "list-entries", file, "--id", "mine")
	refusedWith("other rejects", "its rejects in", "list-entries", file, "--rejects", filepath.Join(dir, "other.csv"))
	for what, text := range map[string]string{"an empty note": "", "half a note": string(noted[:len(noted)/2]), "a newer note": `{"Format": 3, "ID": "imp-x"}`} {
		write(t, dir, "entries.csv.import", text)
		refusedWith(what, "does not say how far", "list-entries", file)
	}
	write(t, dir, "entries.csv.import", string(noted))

	held, err := os.ReadFile(rejects)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "entries.rejects.csv", string(held[:10]))
	refusedWith("shortened rejects", "shorter", "list-entries", file)
	if err := os.Remove(rejects); err != nil {
		t.Fatal(err)
	}
	refusedWith("rejects that are gone", "entries.rejects.csv", "list-entries", file)
	write(t, dir, "entries.rejects.csv", string(held)+"what was written after the note")

	whole, _ := os.ReadFile(file)
	write(t, dir, "entries.csv", strings.Replace(string(whole), "branche", "BRANCHE", 1))
	refusedWith("a changed file", "the file has changed since", "list-entries", file)
	write(t, dir, "entries.csv", string(whole))

	other := &fileSource{path: file}
	if err := other.open(); err != nil {
		t.Fatal(err)
	}
	if code, out := p.cli("import", "list-entries", file); code != exitUsage || !strings.Contains(out, "being imported by another process") {
		t.Errorf("two at a time: exit %d\n%s", code, out)
	}
	other.close()

	if code, out := p.cli("import", "list-entries", file); code != exitFailed || !strings.Contains(out, "goes on after row") || !strings.Contains(out, "20000 rows") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	wantRejectedOnce(t, rejects, rows/badEvery)
	wantReported(t, p, func(m *belpoortv1.ImportReport) bool { return m.GetRows() == rows && m.GetRejected() == rows/badEvery })
}

// An import that was cut off goes on only where its rows are: in another ledger, or in one that was restored to what it was
// before, it begins anew. The mutant mutant_any_ledger must fail here.
func TestAnImportGoesOnOnlyInItsLedger(t *testing.T) {
	const rows = 20_000
	p, dir := serveIn(t, filepath.Join(t.TempDir(), "data")), t.TempDir()
	p.stock()
	file, copied := entriesFile(t, dir, rows), filepath.Join(dir, "ledger.db")
	note := file + ".import"
	if code, out := cli(t, "backup", copied, "--data", p.data); code != exitOK {
		t.Fatalf("exit %d\n%s", code, out)
	}
	p.cutOff(file, note, "list-entries", file)
	noted, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	p.kill()
	if code, out := p.cli("import", "list-entries", file, "--timeout", "2s"); code != exitUnavailable {
		t.Errorf("without a service: exit %d\n%s", code, out)
	}
	for what, dataOf := range map[string]func() string{
		"another ledger": func() string { return filepath.Join(t.TempDir(), "data") },
		"a restored one": func() string {
			data := filepath.Join(t.TempDir(), "data")
			if code, out := cli(t, "restore", copied, "--data", data); code != exitOK {
				t.Fatalf("exit %d\n%s", code, out)
			}
			if err := os.Rename(filepath.Join(p.data, "keys"), filepath.Join(data, "keys")); err != nil {
				t.Fatal(err)
			}
			return data
		},
	} {
		write(t, dir, filepath.Base(note), string(noted))
		q := serveIn(t, dataOf())
		q.stock()
		code, out, errOut := cliApart(t, "", "import", "list-entries", file, "--json", "--data", q.data, "--address", q.grpc)
		shown := shownReport(t, out)
		if code != exitFailed || shown.Rows != rows || shown.Recorded != rows-rows/badEvery || shown.Resumed != 0 || !strings.Contains(errOut, `"event":"anew"`) {
			t.Errorf("%s: exit %d, %+v\n%s", what, code, shown, errOut)
		}
		wantRejectedOnce(t, filepath.Join(dir, "entries.rejects.csv"), rows/badEvery)
	}
}

// An import takes the processors that others leave.
func TestAnImportGivesWayToOtherPrograms(t *testing.T) {
	p := stocked(t)
	input, rows := io.Pipe()
	cmd := p.child(t.Context(), "import", "list-entries", "-", "--rejects", filepath.Join(t.TempDir(), "rejects.csv"))
	cmd.Stdin = input
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	comesTrue(t, time.Minute, "every thread of the import gives way", func() bool {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", cmd.Process.Pid))
		for _, stat := range stats {
			text, err := os.ReadFile(stat)
			_, after, _ := strings.Cut(string(text), ") ")
			if fields := strings.Fields(after); err == nil && (len(fields) < 17 || fields[16] != "19") {
				return false
			}
		}
		return err == nil && len(stats) > 0
	})
	fmt.Fprintln(rows, "telefoon;lijst;geladen op\n06-12345671;branche;2026-11-01")
	rows.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// child is this program with another command, as a process of its own.
func (p *process) child(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], append(args, "--data", p.data, "--address", p.grpc)...)
	cmd.Env = append(os.Environ(), beMain+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// --restart begins anew, and finds recorded what was recorded.
func TestAnImportBeginsAnew(t *testing.T) {
	const rows = 20_000
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	dir := t.TempDir()
	file, note := entriesFile(t, dir, rows), filepath.Join(dir, "noted")
	at := p.cutOff(file, note, "list-entries", file, "--state", note)
	code, out, errOut := cliApart(t, "", "import", "list-entries", file, "--state", note, "--restart", "--json", "--data", p.data, "--address", p.grpc)
	shown := shownReport(t, out)
	if code != exitFailed || shown.Rows != rows || shown.Resumed != 0 || shown.Unchanged < uint64(at-at/badEvery-1) || strings.Contains(errOut, "resumed") {
		t.Errorf("exit %d after %d rows, %+v\n%s", code, at, shown, errOut)
	}
	wantRejectedOnce(t, filepath.Join(dir, "entries.rejects.csv"), rows/badEvery)
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 2 {
		t.Errorf("what is left: %q", left)
	}
}

// Who stops an import leaves word of it, and it goes on.
func TestAnInterruptedImportGoesOn(t *testing.T) {
	const rows = 20_000
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	file := entriesFile(t, t.TempDir(), rows)
	i := p.beginImport("list-entries", file, "--json")
	comesTrue(t, time.Minute, "the import notes how far it is", func() bool { return notedRows(t, file+".import") > 0 })
	_ = i.cmd.Process.Signal(syscall.SIGTERM)
	if code := i.wait(); code != exitFailed || !strings.Contains(i.out.String(), `"outcome":"interrupted"`) {
		t.Fatalf("exit %d\n%s", code, i.out)
	}
	code, out, errOut := cliApart(t, "", "import", "list-entries", file, "--json", "--data", p.data, "--address", p.grpc)
	shown := shownReport(t, out)
	if code != exitFailed || shown.Rows != rows || shown.Resumed != 1 || !strings.Contains(errOut, `"event":"resumed"`) {
		t.Errorf("exit %d, %+v\n%s", code, shown, errOut)
	}
	all := importsOf(t, p, shown.Import).GetImports()
	if len(all) != 2 || all[0].GetReport().GetOutcome() != belpoortv1.ImportOutcome_IMPORT_OUTCOME_COMPLETED || all[1].GetReport().GetOutcome() != belpoortv1.ImportOutcome_IMPORT_OUTCOME_INTERRUPTED {
		t.Errorf("%v", all)
	}
}

// A report that nobody could take is kept, and recorded by the next run, which hands no row over again.
func TestAReportIsNotLost(t *testing.T) {
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	dir := t.TempDir()
	file := write(t, dir, "e.csv", "telefoon;lijst;geladen op\n06-12345671;branche;2026-11-01\nx;branche;2026-11-01\n")
	cmd := importCommand()
	var said bytes.Buffer
	cmd.SetOut(&said)
	cmd.SetErr(&said)
	cmd.SetContext(context.Background())
	if err := cmd.ParseFlags([]string{"--address", p.grpc, "--key-file", folder(p.data).operatorKey(), "--timeout", "2s"}); err != nil {
		t.Fatal(err)
	}
	i := &importing{cmd: cmd, f: flags{cmd.Flags()}, kind: "list-entries", out: &said, err: &said}
	var err error
	if i.service, err = connect(cmd); err != nil {
		t.Fatal(err)
	}
	defer i.service.Close()
	source := &fileSource{path: file}
	if err := source.open(); err != nil {
		t.Fatal(err)
	}
	r, err := i.begin(source)
	if err != nil {
		t.Fatal(err)
	}
	r.load()
	p.kill()
	if err := r.end(); err == nil || codeOf(err) != exitUnavailable || !strings.Contains(err.Error(), "all rows are in, but the report is not recorded") {
		t.Fatalf("%v\n%s", err, &said)
	}
	source.close()
	p.begin()
	p.awaitReady()
	code, out := p.cli("import", "list-entries", file)
	if code != exitFailed || !strings.Contains(out, "its report is recorded now") || !strings.Contains(out, "2 rows: 1 recorded, 0 unchanged, 1 rejected") {
		t.Errorf("exit %d\n%s", code, out)
	}
	wantReported(t, p, func(m *belpoortv1.ImportReport) bool {
		return m.GetRows() == 2 && m.GetRecorded() == 1 && m.GetResumed() == 0
	})
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 2 {
		t.Errorf("what is left: %q", left)
	}
}

// A note that cannot be kept keeps the import from beginning.
func TestANoteMustBeKept(t *testing.T) {
	p := stocked(t)
	before := ledgerPosition(t, p)
	file := write(t, t.TempDir(), "o.csv", "telefoon;organisatie;datum;via\n06-12345671;voltwerk;2026-11-01 10:00;web\n")
	for _, place := range []string{filepath.Join(t.TempDir(), "no", "folder"), t.TempDir()} {
		if code, out := p.cli("import", "objections", file, "--state", place); code != exitUsage || !strings.Contains(out, "--state") {
			t.Errorf("exit %d\n%s", code, out)
		}
	}
	if after := ledgerPosition(t, p); after != before {
		t.Errorf("the ledger moved from %s to %s", before, after)
	}
}
