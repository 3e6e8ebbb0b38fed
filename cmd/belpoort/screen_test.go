package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// screen screens a file of that content in the stocked campaign.
func (p *process) screen(content string, args ...string) (int, string) {
	p.t.Helper()
	file := write(p.t, p.t.TempDir(), "list.csv", content)
	return p.cli(append([]string{"screen", file, "--campaign", "volt", "--caller-id", shownNumber}, args...)...)
}

func wantLines(t testing.TB, what, out string, lines ...string) {
	t.Helper()
	squeezed := strings.Join(strings.Fields(out), " ")
	for _, line := range lines {
		if !strings.Contains(squeezed, line) {
			t.Errorf("%s: no %q in\n%s", what, line, out)
		}
	}
}

const expired = "volt ALLOW OK_CONSENT -> DENY CONSENT_EXPIRED 1"

// What a change would cost is counted by campaign and reason, in every way that a change and a list can be given.
func TestScreenCountsWhatAChangeWouldCost(t *testing.T) {
	p := stocked(t)
	dir := t.TempDir()
	shorter := "consent_max_age: {default: 1 day"
	law := write(t, dir, lawName, strings.Replace(embeddedLaw(t), "consent_max_age: {default: 12 months", shorter, 1))
	policy := write(t, dir, "policy.yaml", "# stricter\npolicy:\n  consent_max_age: 1 day\n  max_attempts: {per_day: 1}\nscenarios: []\n")
	list := "06-12345678\n\n06-87654321\n112\n"
	for name, args := range map[string][]string{
		"a setting":         {"--what-if", `consent_max_age="1 day"`},
		"several":           {"--what-if", `request_used_by=[ANSWERED, NO_ANSWER],consent_max_age=1 day,max_attempts={per_day: 1,per_campaign: 2}`},
		"twice the flag":    {"--what-if", "consent_max_age=1 day", "--what-if", "minimum_age=18"},
		"a policy file":     {"--what-if", policy},
		"a law file":        {"--what-if-law", law},
		"a law in a folder": {"--what-if-law", dir},
	} {
		code, out := p.screen(list, args...)
		if code != exitOK {
			t.Errorf("%s: exit %d", name, code)
		}
		wantLines(t, name, out, "3 calls: 1 changes", expired, "allowed 1 now, 0 under the change", "This does not replace the check before each call")
		if strings.Contains(out, "NO_BASIS") || strings.Contains(out, "CALLEE_INVALID") {
			t.Errorf("%s: what does not change is shown:\n%s", name, out)
		}
	}
	code, out := p.screen(list, "--what-if", "hours=Mon-Fri 09:00-20:00, Sat 10:00-16:00,consent_max_age=1 day", "--at", "2026-11-21T23:00:00+01:00", "--json")
	var answer struct {
		Calls, Changed string
		DialTime       string `json:"dial_time"`
		Answers        []struct{ Reason, HypothesisReason string }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != exitOK || answer.Calls != "3" || answer.DialTime != "2026-11-21T22:00:00Z" || len(answer.Answers) != 3 {
		t.Errorf("as JSON: exit %d, %v: %s", code, err, out)
	}
	if code, out = p.screen(list, "--what-if", "consent_max_age=12 months"); code != exitOK || !strings.HasPrefix(out, "3 calls: 0 change\n") {
		t.Errorf("no change: exit %d: %s", code, out)
	}
}

func TestScreenReadsListsAsPeopleWriteThem(t *testing.T) {
	p := stocked(t)
	for name, content := range map[string]string{
		"plain":             "06-12345678\n",
		"plain, no end":     "+31 6 12345678",
		"CRLF and a mark":   "\xef\xbb\xbf0612345678\r\n",
		"Dutch header":      "Naam;Telefoonnummer;Stad\nJ. Jansen;06-12345678;Oss\n",
		"English header":    "id\tPhone number\n7\t06-12345678\n\t\t\n",
		"quotes":            "number,note\n\"06-12345678\",\"a \"\"b\"\",\nc\"\n",
		"its own columns":   "telefoon;campagne;caller_id;persoon\n0612345678;volt;0201234567;J. Jansen\n",
		"empty cells":       "telefoon;campaign;caller_id\n0612345678;;\n",
		"Latin-1":           "telefoon;stad\n\xa006-12345678\xa0;Caf\xe9\n",
		"empty at the ends": "telefoon;stad;;\n0612345678;Oss;;\n;;;\n",
	} {
		code, out := p.screen(content, "--what-if", "consent_max_age=1 day")
		if code != exitOK || !strings.HasPrefix(out, "1 call: 1 changes\n") {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	code, out := p.screen("telefoon;persoon\n0612345678;P. Pietersen\n", "--what-if", "consent_max_age=1 day")
	wantLines(t, "another person", out, "volt DENY EVIDENCE_MISSING -> DENY CONSENT_EXPIRED 1")
	if code != exitOK {
		t.Errorf("another person: exit %d", code)
	}
	var printed bytes.Buffer
	code = run(t.Context(), []string{"screen", "-", "--campaign", "volt", "--caller-id", shownNumber, "--what-if", "consent_max_age=1 day",
		"--data", p.data, "--address", p.grpc}, strings.NewReader("0612345678\n"), &printed, &printed)
	if code != exitOK || !strings.HasPrefix(printed.String(), "1 call: 1 changes\n") {
		t.Errorf("standard input: exit %d: %s", code, &printed)
	}
}

// Lines that cannot be decided are named by line, and never by number.
func TestScreenNamesWhatItCannotDecide(t *testing.T) {
	p := stocked(t)
	content := "telefoon;campagne\n0612345678;\n;volt\n0612345678;nope\n" + strings.Repeat("6", 41) + ";volt\n0612345678;volt;x\n\"06123\"45678;volt\n06\x8112345678;volt\n0687654321;volt\n"
	code, out := p.screen(content, "--what-if", "consent_max_age=1 day")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	wantLines(t, "rejected lines", out, "2 calls: 1 changes", expired, "line 3: callee is missing", "line 4: campaign names a campaign",
		"line 5: callee is longer", "line 6: has 3 cells", "line 7: its quotes do not pair", "line 8: column callee is neither UTF-8")
	if strings.Contains(out, "12345678") || strings.Contains(out, "66666") {
		t.Errorf("a number is shown:\n%s", out)
	}
	code, out = p.screen("telefoon;campagne\n"+strings.Repeat(";volt\n", 1500)+"0612345678;volt\n", "--what-if", "minimum_age=18")
	wantLines(t, "many", out, "1 call: 0 change", "line 11: callee is missing", "and 1,490 more")
	if code != exitFailed || strings.Contains(out, "line 12:") {
		t.Errorf("many: exit %d: %s", code, out)
	}
}

func TestScreenRefusesWhatItCannotRead(t *testing.T) {
	p := stocked(t)
	before, decisions := ledgerPosition(t, p), len(p.decisions())
	dir := t.TempDir()
	law := embeddedLaw(t)
	wrongLaw := strings.Replace(law, "OK_LOTTERY", "OK_LOTERY", 1)
	line := 1 + strings.Count(wrongLaw[:strings.Index(wrongLaw, "OK_LOTERY")], "\n")
	good := "consent_max_age=1 day"
	for name, c := range map[string]struct {
		list string
		args []string
		want []string
	}{
		"two changes":       {"0612345678\n", []string{"--what-if", good, "--what-if-law", dir}, []string{"one at a time"}},
		"unknown setting":   {"0612345678\n", []string{"--what-if", "consent_max_oge=1 day"}, []string{"--what-if", "consent_max_oge", "unknown setting; known are abandoned_cooldown"}},
		"wrong value":       {"0612345678\n", []string{"--what-if", "consent_max_age=soon"}, []string{"--what-if", "consent_max_age"}},
		"inner key":         {"0612345678\n", []string{"--what-if", "max_attempts={per_week: 1}"}, []string{"max_attempts.per_week"}},
		"no value":          {"0612345678\n", []string{"--what-if", "hours="}, []string{"SETTING=VALUE"}},
		"no YAML":           {"0612345678\n", []string{"--what-if", "request_used_by=[ANSWERED"}, []string{"request_used_by", "YAML"}},
		"twice":             {"0612345678\n", []string{"--what-if", good + ",consent_max_age=2 days"}, []string{"consent_max_age stands twice"}},
		"twice in two":      {"0612345678\n", []string{"--what-if", good, "--what-if", good}, []string{"consent_max_age stands twice"}},
		"an anchor":         {"0612345678\n", []string{"--what-if", "request_used_by=&a [ANSWERED]"}, []string{"anchors"}},
		"no such file":      {"0612345678\n", []string{"--what-if", filepath.Join(dir, "none.yaml")}, []string{"none.yaml"}},
		"setting of a file": {"0612345678\n", []string{"--what-if", write(t, dir, "s.yaml", "policy:\n  hours: daily\n")}, []string{"s.yaml:2: policy.hours"}},
		"inner of a file":   {"0612345678\n", []string{"--what-if", write(t, dir, "i.yaml", "policy:\n  max_attempts:\n    per_day: 0\n")}, []string{"i.yaml:3: policy.max_attempts.per_day"}},
		"key of a file":     {"0612345678\n", []string{"--what-if", write(t, dir, "k.yaml", "polcy: {}\n")}, []string{"k.yaml:1: polcy"}},
		"no policy":         {"0612345678\n", []string{"--what-if", write(t, dir, "n.yaml", "facts: {}\n")}, []string{"n.yaml: policy"}},
		"no law":            {"0612345678\n", []string{"--what-if-law", dir}, []string{"--what-if-law", lawName}},
		"a wrong law":       {"0612345678\n", []string{"--what-if-law", write(t, dir, "w.yaml", wrongLaw)}, []string{fmt.Sprintf("w.yaml:%d: relationships.reason", line), "OK_LOTERY"}},
		"a large law":       {"0612345678\n", []string{"--what-if-law", write(t, dir, "l.yaml", strings.Repeat("#\n", 110_000))}, []string{"l.yaml", "204800 bytes"}},
		"no instant":        {"0612345678\n", []string{"--what-if", good, "--at", "tomorrow"}, []string{"--at"}},
		"an early instant":  {"0612345678\n", []string{"--what-if", good, "--at", "1969-01-01T00:00:00Z"}, []string{"dial_time"}},
		"unknown campaign":  {"0612345678\n", []string{"--what-if", good, "--campaign", "nope"}, []string{"line 1: campaign names a campaign that the catalogue does not have"}},
		"no campaign":       {"0612345678\n", []string{"--what-if", good, "--campaign", ""}, []string{"--campaign"}},
		"no caller ID":      {"0612345678\n", []string{"--what-if", good, "--caller-id", ""}, []string{"--caller-id"}},
		"an empty list":     {"", []string{"--what-if", good}, []string{"list.csv", "empty"}},
		"a header only":     {"telefoon\n", []string{"--what-if", good}, []string{"list.csv", "no numbers"}},
		"no number column":  {"naam;stad\nJansen;Oss\n", []string{"--what-if", good}, []string{"list.csv", "callee", "telefoonnummer"}},
		"two columns":       {"telefoon;mobiel\n0612345678;0612345678\n", []string{"--what-if", good}, []string{"callee twice"}},
		"two delimiters":    {"telefoon;naam,stad\n", []string{"--what-if", good}, []string{"more than one of"}},
		"UTF-16":            {"\xff\xfe0\x006\x00", []string{"--what-if", good}, []string{"no text"}},
		"gzip":              {"\x1f\x8b\x08", []string{"--what-if", good}, []string{"no text"}},
		"a long row":        {"telefoon\n" + strings.Repeat("6", 80_000), []string{"--what-if", good}, []string{"list.csv", "after line 1"}},
		"an open quote":     {"telefoon\n\"" + strings.Repeat("6\n", 60_000), []string{"--what-if", good}, []string{"open quote"}},
	} {
		code, out := p.screen(c.list, c.args...)
		if code != exitUsage {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
		wantLines(t, name, out, c.want...)
		if strings.Contains(out, "12345678") {
			t.Errorf("%s: the number is shown: %s", name, out)
		}
	}
	if code, out := p.cli("screen", filepath.Join(dir, "none.csv"), "--campaign", "volt", "--caller-id", shownNumber, "--what-if", good); code != exitUsage || !strings.Contains(out, "none.csv") {
		t.Errorf("no file: exit %d: %s", code, out)
	}
	if code, out := cli(t, "screen", write(t, dir, "l.csv", "0612345678\n"), "--campaign", "volt", "--caller-id", shownNumber, "--what-if", good,
		"--data", p.data, "--address", freeAddress(t)); code != exitUnavailable {
		t.Errorf("no service: exit %d: %s", code, out)
	}
	// The two look-ups of the position are checks themselves.
	if after := ledgerPosition(t, p); after != before || len(p.decisions()) != decisions+1 {
		t.Errorf("the ledger went from %s to %s, the decisions from %d to %d", before, after, decisions, len(p.decisions()))
	}
}

// decisions are those about the allowed number that the ledger holds.
func (p *process) decisions() []*belpoortv1.Decision {
	p.t.Helper()
	got, err := belpoortv1.NewRegisterServiceClient(p.dial()).GetCallee(p.t.Context(), &belpoortv1.GetCalleeRequest{Callee: allowedNumber})
	if err != nil {
		p.t.Fatal(err)
	}
	return got.GetDecisions()
}

// A screening leaves ledger and decisions as they were, and the next check is answered as before.
func TestScreenKeepsNothing(t *testing.T) {
	p := stocked(t)
	before, decisions := ledgerPosition(t, p), len(p.decisions())
	for range 3 {
		if code, out := p.screen("0612345678\n0687654321\n", "--what-if", "consent_max_age=1 day"); code != exitOK {
			t.Fatalf("exit %d: %s", code, out)
		}
	}
	if now := len(p.decisions()); now != decisions {
		t.Errorf("%d decisions, %d before", now, decisions)
	}
	if after := ledgerPosition(t, p); after != before {
		t.Errorf("the ledger went from %s to %s", before, after)
	}
	if code, answer := p.check(allowedNumber); code != exitOK {
		t.Errorf("the check is answered %v", answer)
	}
}

// A long list goes in many streams, is added up whole, keeps to one instant, and takes no more memory than a short one.
func TestScreenOfALongList(t *testing.T) {
	p := stocked(t)
	const rows = 4*streamCalls + 7
	var list strings.Builder
	list.WriteString("telefoon;eigen kolom\n")
	for i := range rows {
		switch {
		case i%1000 == 999:
			list.WriteString(";leeg\n")
		case i%2 == 0:
			list.WriteString("06-12345678;" + strings.Repeat("x", 100) + "\n")
		default:
			fmt.Fprintf(&list, "06-2%07d;\n", i%50)
		}
	}
	code, out := p.screen(list.String(), "--what-if", "consent_max_age=1 day")
	wantLines(t, "a long list", out, "19,987 calls: 10,004 change", "volt ALLOW OK_CONSENT -> DENY CONSENT_EXPIRED 10,004",
		"line 1001: callee is missing", "line 10001: callee is missing", "and 10 more")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
}

// endless gives rows until so many bytes are read.
type endless struct {
	row  string
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, fmt.Errorf("read to the end")
	}
	n := 0
	for n+len(e.row) <= len(p) {
		n += copy(p[n:], e.row)
	}
	if n == 0 {
		n = copy(p, e.row[:1])
	}
	e.left -= n
	return n, nil
}

// A list of any length, and one without line ends, is read in bounded memory.
func TestAListIsReadInBoundedMemory(t *testing.T) {
	var before, after runtime.MemStats
	list, err := openList(&endless{"0612345678\n", 64 << 20}, "volt", shownNumber)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	rows := 0
	for ; err == nil; rows++ {
		_, err = list.next()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err.Error() != "read to the end" || rows < 5_000_000 {
		t.Errorf("after %d rows: %v", rows, err)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d rows took %d bytes", rows, grown)
	}
	for _, row := range []string{"6", "\"6\n"} {
		source := &endless{row, 64 << 20}
		if _, err := openList(source, "volt", shownNumber); err == nil || source.left < 60<<20 {
			t.Errorf("%q for ever: %v, with %d bytes left", row, err, source.left)
		}
	}
}

func TestSettingsAreSplitWhereTheNextOneBegins(t *testing.T) {
	for text, want := range map[string]string{
		"a=1":                                "a=1",
		"a=1,b=2":                            "a=1|b=2",
		"a=[X,Y],b={c: 1,d: 2}":              "a=[X,Y]|b={c: 1,d: 2}",
		"a={b: \"x,c=1\"},d=2":               "a={b: \"x,c=1\"}|d=2",
		"a=[x, b=1],c=2":                     "a=[x, b=1]|c=2",
		"hours=Mon 9:00-20:00, Sat 10:00,b=": "hours=Mon 9:00-20:00, Sat 10:00|b=",
		"a='x, b=1', c=2":                    "a='x, b=1'| c=2",
	} {
		if got := strings.Join(splitSettings(text), "|"); got != want {
			t.Errorf("%q is split as %q, want %q", text, got, want)
		}
	}
}

// Counts of two laws, or of two catalogues, are not added up.
func TestAScreeningEndsWhenTheLawChangesMeanwhile(t *testing.T) {
	for name, change := range map[string]func(*belpoortv1.CompareCallsResponse){
		"law":       func(m *belpoortv1.CompareCallsResponse) { m.LawVersion = "b" },
		"catalogue": func(m *belpoortv1.CompareCallsResponse) { m.CataloguePosition = 2 },
	} {
		s := &screening{hypothesis: &belpoortv1.Hypothesis{}, sum: &belpoortv1.CompareCallsResponse{}}
		answer := func() *belpoortv1.CompareCallsResponse {
			return &belpoortv1.CompareCallsResponse{
				Calls: 3, Changed: 1, LawVersion: "a", HypothesisLawVersion: "a", CataloguePosition: 1, DialTime: timestamppb.Now(),
			}
		}
		if err := errors.Join(s.add(answer(), part{}), s.add(answer(), part{})); err != nil || s.sum.Calls != 6 || s.sum.Changed != 2 {
			t.Errorf("%s: %v, %v", name, s.sum, err)
		}
		other := answer()
		change(other)
		if err := s.add(other, part{}); err == nil || !strings.Contains(err.Error(), "run it again") {
			t.Errorf("another %s: %v", name, err)
		}
	}
}
