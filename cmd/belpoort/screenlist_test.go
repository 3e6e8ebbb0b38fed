package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// screened screens a list into a file, and gives exit code, file and summary.
func (p *process) screened(content string, args ...string) (code int, list, summary string) {
	p.t.Helper()
	out := filepath.Join(p.t.TempDir(), "out.csv")
	code, summary = p.screen(content, append([]string{"--out", out}, args...)...)
	data, err := os.ReadFile(out)
	if err != nil && code == exitOK {
		p.t.Fatal(err)
	}
	return code, string(data), summary
}

// The same list comes out: the same rows in the same order, with their own columns, in the form that it had.
func TestScreenGivesTheSameListBack(t *testing.T) {
	p := stocked(t)
	in := "\xef\xbb\xbfContact;Telefoon;Stad\n\"Bos; J.\";06-12345678;Oss\nJansen;0687654321;'s-Gravenhage\n\nP;112;\n"
	code, list, summary := p.screened(in, "--at", "2026-11-20T14:00:00+01:00")
	rows := strings.Split(list, "\n")
	want := []string{
		"\xef\xbb\xbfContact;Telefoon;Stad;screen_verdict;screen_reason;screen_basis;screen_valid_until",
		"\"Bos; J.\";06-12345678;Oss;ALLOW;OK_CONSENT;NL-TW-11.7-2;",
		"Jansen;0687654321;'s-Gravenhage;DENY;NO_BASIS;;",
		"P;112;;DENY;CALLEE_INVALID;;",
	}
	if code != exitOK || len(rows) != len(want)+1 {
		t.Fatalf("exit %d, %s\n%s", code, summary, list)
	}
	for i, row := range want {
		if !strings.HasPrefix(rows[i], row) {
			t.Errorf("row %d: %q, want %q", i, rows[i], row)
		}
	}
	if valid := rows[1][strings.LastIndex(rows[1], ";")+1:]; !strings.HasPrefix(valid, "202") {
		t.Errorf("valid_until: %q", valid)
	}
	wantLines(t, "summary", summary, "3 numbers screened", "ALLOW OK_CONSENT 1", "DENY NO_BASIS 1", "2026-11-20 14:00:00 CET", noLeave)
	if strings.Contains(summary, "12345678") {
		t.Errorf("the number is in the summary:\n%s", summary)
	}
}

// What cannot be decided says so in the list and never reads as leave to dial; the others are decided.
func TestScreenMarksWhatItCannotDecide(t *testing.T) {
	p := stocked(t)
	in := "telefoon;campagne\n0612345678;\n;volt\n0612345678;nope\n" + strings.Repeat("6", 41) + ";volt\n0612345678;volt;x\n\"06123\"45678;volt\n0687654321;volt\n"
	code, list, summary := p.screened(in)
	rows := strings.Split(strings.TrimSpace(list), "\n")
	for i, want := range []string{"screen_verdict", ";ALLOW;", ";ERROR;line 3: callee is missing", ";ERROR;line 4: campaign names a campaign",
		";ERROR;line 5: callee is longer", ";ERROR;line 6: has 3 cells", ";ERROR;", ";DENY;NO_BASIS;"} {
		if i >= len(rows) || !strings.Contains(rows[i], want) {
			t.Errorf("row %d: want %q in\n%s", i, want, list)
		}
	}
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	wantLines(t, "summary", summary, "2 numbers screened", "ERROR 5", "error line 3: callee is missing")
}

func TestScreenAnswersMachines(t *testing.T) {
	p := stocked(t)
	code, _, summary := p.screened("0612345678\n0687654321\n0687654321\n", "--json", "--warm")
	var answer struct {
		Decided, Errors int
		Note            string
		Answers         []struct {
			Verdict, Reason string
			Count           int
		}
	}
	if err := json.Unmarshal([]byte(summary), &answer); err != nil || code != exitOK || answer.Decided != 3 || answer.Note != noLeave ||
		len(answer.Answers) != 2 || answer.Answers[0].Reason != "NO_BASIS" || answer.Answers[0].Count != 2 {
		t.Errorf("exit %d, %v: %s", code, err, summary)
	}
	for name, args := range map[string][]string{
		"JSON and list in one":  {"--json"},
		"a list and a question": {"--out", "x", "--what-if", "minimum_age=18"},
		"no instant":            {"--at", "soon"},
		"unknown campaign":      {"--campaign", "nope"},
	} {
		if code, out := p.screen("0612345678\n", args...); code != exitUsage {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	file := write(t, t.TempDir(), "l.csv", "0612345678\n")
	if code, out := p.cli("screen", file, "--campaign", "volt", "--caller-id", shownNumber, "--out", file); code != exitUsage || !strings.Contains(out, "would be lost") {
		t.Errorf("over itself: exit %d: %s", code, out)
	}
}

// A list of several windows and campaigns stays in order, and nothing of it is kept.
func TestScreenKeepsTheOrderOfALongList(t *testing.T) {
	p := stocked(t)
	decisions := len(p.decisions())
	var in strings.Builder
	in.WriteString("telefoon;nr\n")
	const rows = windowRows + 2500
	for i := range rows {
		number := fmt.Sprintf("06-2%07d", i)
		if i%100 == 0 {
			number = "06-12345678"
		}
		fmt.Fprintf(&in, "%s;%d\n", number, i)
	}
	code, list, summary := p.screened(in.String())
	lines := strings.Split(strings.TrimSpace(list), "\n")
	if code != exitOK || len(lines) != rows+1 {
		t.Fatalf("exit %d, %d lines: %s", code, len(lines), summary)
	}
	for i, line := range lines[1:] {
		if !strings.Contains(line, fmt.Sprintf(";%d;", i)) || strings.Contains(line, ";ALLOW;") != (i%100 == 0) {
			t.Fatalf("row %d: %s", i, line)
		}
	}
	if now := len(p.decisions()); now != decisions {
		t.Errorf("%d decisions were kept", now-decisions)
	}
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), []string{"screen", "-", "--campaign", "volt", "--caller-id", shownNumber, "--data", p.data, "--address", p.grpc},
		strings.NewReader("0612345678\n"), &stdout, &stderr)
	if code != exitOK || !strings.HasPrefix(stdout.String(), "0612345678,ALLOW,OK_CONSENT,") || !strings.Contains(stderr.String(), noLeave) {
		t.Errorf("standard streams: exit %d: %s %s", code, &stdout, &stderr)
	}
}
