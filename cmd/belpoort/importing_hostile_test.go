package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Damaged and hostile files through the command itself: each is refused or its rows are rejected with a reason, what is whole
// is taken whole, and a file that is refused at its beginning changes nothing in the ledger.
func TestHostileFilesAreImported(t *testing.T) {
	p := stocked(t)
	dir := t.TempDir()
	const header, good = "telefoon;organisatie;datum;via\n", "06-12345671;voltwerk;2026-11-01 10:00;web\n"
	whole := gzipped(t, header+good)
	bomb := gzipped(t, header+good+strings.Repeat(strings.Repeat(" ", 1<<20)+"\n", 64))
	for i, c := range []struct {
		name, content string
		code          int
		says          string
		taken         bool // rows were read
	}{
		{"a good one", header + good, exitOK, "1 rows: 1 recorded", true},
		{"packed and cut off", whole[:len(whole)-9], exitUsage, "cut off", false},
		{"packed and damaged", whole[:20] + "XXXX" + whole[24:], exitUsage, "damaged", false},
		{"a bomb", bomb, exitUsage, "100 times", false},
		{"a packed pack", gzipped(t, whole), exitUsage, "packed", false},
		{"with a byte order mark", "\xef\xbb\xbf" + header + good, exitOK, "1 rows", true},
		{"with mixed line ends", "telefoon;organisatie;datum;via\r" + strings.TrimSpace(good) + "\r\n" + good, exitOK, "2 rows", true},
		{"with NUL bytes", header + "06-1234\x005671;voltwerk;2026-11-01 10:00;web\n" + good, exitFailed, "1  nul_byte", true},
		{"without a header", good + good, exitUsage, "is the header", false},
		{"with half a header", "telefoon;organisatie\n" + good, exitUsage, "lacks", false},
		{"with a column twice", "telefoon;tel;organisatie;datum;via\n", exitUsage, "a second time", false},
		{"with a million columns", header + strings.Repeat(";", 1_000_000) + "\n" + good, exitFailed, "1  too_long", true},
		{"with a header of a million columns", strings.Repeat("a;", 1_000_000) + "\n" + good, exitUsage, "longer than", false},
		{"with a day that is none", header + "06-12345671;voltwerk;31-02-2026;web\n", exitFailed, "1  bad_date", true},
		{"with spoilt numbers", header + "3,16E+10;voltwerk;2026-11-01 10:00;web\n612345671;voltwerk;2026-11-01 10:00;web\n", exitFailed, "2  spoilt_number", true},
		{"in UTF-16", "\xff\xfet\x00e\x00l\x00", exitUsage, "UTF-16", false},
		{"in two encodings", header + "06-12345671;voltwerk;2026-11-01 10:00;web\n06-12345671;voltwérk;2026-11-01 10:00;web\n06-12345671;voltw\xe9rk;2026-11-01 10:00;web\n", exitFailed, "1  bad_encoding", true},
		{"a spreadsheet", "PK\x03\x04" + strings.Repeat("x", 100), exitUsage, "save it as CSV", false},
		{"empty", "", exitUsage, "is empty", false},
		{"with a quote that is open", header + good + "\"06-12345671;voltwerk;2026-11-01 10:00;web\n" + good, exitUsage, "quote that is not closed", true},
		{"an object within an object", `{"telefoon":"06-12345671","organisatie":"voltwerk","datum":"2026-11-01","via":"web"}` + "\n" + `{"telefoon":{"a":1}}`, exitFailed, "1  bad_json", true},
	} {
		file := write(t, dir, fmt.Sprintf("hostile-%d.csv", i), c.content)
		before := len(importsOf(t, p).GetImports())
		position := ledgerPosition(t, p)
		code, out := p.cli("import", "objections", file)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit %d\n%s", c.name, code, out)
		}
		if after := len(importsOf(t, p).GetImports()); (after == before+1) != c.taken || !c.taken && ledgerPosition(t, p) != position {
			t.Errorf("%s: %d reports before, %d after\n%s", c.name, before, after, out)
		}
		if _, err := os.Stat(file + ".import"); !os.IsNotExist(err) {
			t.Errorf("%s: a note is left: %v", c.name, err)
		}
	}
	failed := importsOf(t, p).GetImports()
	found := false
	for _, i := range failed {
		if strings.Contains(i.GetReport().GetProblem(), "quote that is not closed") {
			found = i.GetReport().GetOutcome().String() == "IMPORT_OUTCOME_FAILED"
		}
	}
	if !found {
		t.Error("the report of a failed import does not say so")
	}
}

// A file with a row of 256 MiB is hashed and read in the memory of a few rows.
func TestAHugeRowTakesNoMemory(t *testing.T) {
	file := write(t, t.TempDir(), "huge.csv", "telefoon;organisatie;datum;via\n06-12345671;voltwerk;2026-11-01 10:00;web\n")
	if err := os.Truncate(file, 256<<20); err != nil { // a sparse file: NULs to the end
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "import", "objections", file, "--dry-run", "--json", "--rejects", filepath.Join(t.TempDir(), "r.csv"))
	cmd.Env = append(os.Environ(), beMain+"=1")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its code is looked at below
		close(ended)
	}()
	peak := 0
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-time.After(10 * time.Millisecond):
			peak = max(peak, peakMemory(cmd.Process.Pid))
		}
	}
	shown := shownReport(t, out.String())
	if cmd.ProcessState.ExitCode() != exitFailed || shown.Rows != 2 || shown.Valid != 1 || shown.Reasons["nul_byte"] != 1 {
		t.Errorf("exit %d, %+v", cmd.ProcessState.ExitCode(), shown)
	}
	t.Logf("%d MiB at the most", peak>>10)
	if peak == 0 || peak > 150<<10 {
		t.Errorf("%d MiB", peak>>10)
	}
}

// peakMemory is the most that a process has held, in KiB; 0 where it is gone.
func peakMemory(pid int) (kib int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	if _, after, found := strings.Cut(string(status), "VmHWM:"); found {
		_, _ = fmt.Sscan(after, &kib)
	}
	return kib
}
