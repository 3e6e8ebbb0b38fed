package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// startViewed is a service that knows a callee: a consent, an ALLOW, an objection, a refusal.
func startViewed(t *testing.T) *clusterNode {
	t.Helper()
	n := &clusterNode{process: serveIn(t, filepath.Join(t.TempDir(), "data"))}
	n.dial()
	n.must("apply", write(t, t.TempDir(), "catalogue.yaml", testCatalogue()))
	if _, err := n.consent(t.Context(), subject(1), "c-1"); err != nil {
		t.Fatal(err)
	}
	for _, asked := range []bool{true, false} {
		if answer, err := n.within(5*time.Second, subject(1)); err != nil || isAllowed(answer) != asked {
			t.Fatalf("%v, %v", answer, err)
		}
		if _, err := n.object(t.Context(), subject(1), "o-1"); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestDecisionsAreListed(t *testing.T) {
	n := startViewed(t)
	lines := strings.Split(strings.TrimSpace(n.must("decisions")), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], "DENY") || !strings.Contains(lines[1], "OBJECTED") || !strings.Contains(lines[2], "ALLOW") {
		t.Errorf("decisions:\n%s", strings.Join(lines, "\n"))
	}
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"--limit", "1"}, 1},
		{[]string{"--campaign", "volt", "--callee", subject(1), "--verdict", "DENY", "--reason", "OBJECTED", "--since", "1h"}, 1},
		{[]string{"--callee", subject(2)}, 0},
		{[]string{"--until", "1h"}, 0},
	} {
		var list struct {
			Decisions []struct{ Verdict string }
		}
		_, out := n.cli(append([]string{"decisions", "--json"}, c.args...)...)
		text, said, _ := strings.Cut(out, "\nbelpoort: ")
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Decisions) != c.want || (said != "") != (c.args[0] == "--limit") {
			t.Errorf("%v: %d decisions, %v\n%s", c.args, len(list.Decisions), err, out)
		}
	}
	for flag, word := range map[string]string{"--verdict": "MAYBE", "--reason": "WHY", "--since": "yesterday", "--limit": "0"} {
		if code, out := n.cli("decisions", flag, word); code != exitUsage || !strings.Contains(out, flag) {
			t.Errorf("%s %s: exit %d, %s", flag, word, code, out)
		}
	}
}

// The timeline shows all that is held, in order, with positions, and the number only as far as one knows it already.
func TestACalleeIsShownAsATimeline(t *testing.T) {
	n := startViewed(t)
	out := n.must("callee", subject(1))
	at := 0
	for _, part := range []string{
		"+********001  callee ", "2 facts, 2 decisions", "  consent ", "consent id c-1", "method WEB_FORM", "own initiative", "evidence (uri s3://proof/1",
		"decision", "ALLOW OK_CONSENT", "objection", "organisation voltwerk", "via IVR", "receipt ", "DENY OBJECTED",
	} {
		next := strings.Index(out[at:], part)
		if next < 0 {
			t.Fatalf("%q is missing, or out of order:\n%s", part, out)
		}
		at += next
	}
	zone := time.Now().In(eligibility.Amsterdam).Format("MST")
	if strings.Contains(out, subject(1)[3:]) || !strings.Contains(out, zone) {
		t.Errorf("the number is shown, or not in %s:\n%s", zone, out)
	}
	if nobody := n.must("callee", "06-2000 0002"); !strings.Contains(nobody, "**-**** *002") || !strings.Contains(nobody, "0 facts, 0 decisions") {
		t.Errorf("nobody: %s", nobody)
	}
	var held struct {
		Entries []struct {
			Position string
			Fact     map[string]any
		}
	}
	if err := json.Unmarshal([]byte(n.must("callee", subject(1), "--json")), &held); err != nil || len(held.Entries) != 2 {
		t.Errorf("as JSON: %v, %v", held, err)
	}
}
