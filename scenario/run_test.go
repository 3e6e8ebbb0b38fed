package scenario

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/eligibility/law"
)

func nl(t testing.TB) *eligibility.Law {
	t.Helper()
	l, err := law.NL()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestScenarios decides the shared cases: all of them must pass.
func TestScenarios(t *testing.T) {
	var out bytes.Buffer
	passed, failed, err := Run([]string{"../eligibility/testdata/nl.yaml", "../eligibility/testdata/after-the-call.yaml"}, nl(t), &out)
	if err != nil {
		t.Fatal(err)
	}
	if passed < 90 || failed > 0 {
		t.Errorf("%d passed, %d failed:", passed, failed)
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "FAIL") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if lines := strings.Count(out.String(), "\n"); lines != passed+failed+1 {
		t.Errorf("%d lines for %d scenarios", lines, passed+failed)
	}
}

func TestRunGolden(t *testing.T) {
	var out bytes.Buffer
	passed, failed, err := Run([]string{"testdata/small.yaml"}, nl(t), &out)
	if err != nil || passed != 1 || failed != 1 {
		t.Errorf("%d passed, %d failed, %v", passed, failed, err)
	}
	want, err := os.ReadFile("testdata/small.golden")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("got:\n%s\nwant:\n%s", out.Bytes(), want)
	}
}

func TestRunCountsFilesWithoutScenarios(t *testing.T) {
	var out bytes.Buffer
	passed, failed, err := Run([]string{"../eligibility/testdata/catalogue.yaml", "testdata/small.yaml"}, nl(t), &out)
	if err != nil || passed != 1 || failed != 1 || !strings.HasSuffix(out.String(), "\n1 passed, 1 failed\n") {
		t.Errorf("%d passed, %d failed, %v:\n%s", passed, failed, err, out.String())
	}
}

// TestRunRefusesWrongFiles: a wrong file among right ones means that nothing runs.
func TestRunRefusesWrongFiles(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	small, err := os.ReadFile("testdata/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(wrong, append(small, "surprise: 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, _, err = Run([]string{"testdata/small.yaml", wrong, "no-such-file.yaml"}, nl(t), &out)
	var problems *Problems
	if !errors.As(err, &problems) || len(problems.List) != 2 || out.Len() > 0 {
		t.Fatalf("got %v and output %q", err, out.String())
	}
	if got := problems.List[0]; got.File != wrong || got.Key != "surprise" {
		t.Errorf("got %v", got)
	}
	if got := problems.List[1]; got.File != "no-such-file.yaml" || got.Line != 0 {
		t.Errorf("got %v", got)
	}
}

func TestRunRefusesTheSameIDInTwoFiles(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "copied.yaml")
	small, err := os.ReadFile("testdata/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, small, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, _, err = Run([]string{"testdata/small.yaml", copied}, nl(t), &out)
	want := `duplicate scenario "small-1", first in testdata/small.yaml:`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if passed, _, err := Run([]string{"testdata/small.yaml", "testdata/small.yaml"}, nl(t), &out); err != nil || passed != 2 {
		t.Errorf("a file named twice: %d passed, %v", passed, err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestRunTellsThatItCouldNotWrite(t *testing.T) {
	if _, _, err := Run([]string{"testdata/small.yaml"}, nl(t), fullDisk{}); err == nil || err.Error() != "no space left" {
		t.Errorf("got %v", err)
	}
}

// TestDifferences has an expectation that the decision fails in every point.
func TestDifferences(t *testing.T) {
	e := small(t, `
  expect:
    verdict: DENY
    reason: HOURS
    reasons: [OBJECTED, HOURS]
    basis: NL-TW-11.7-2
    obligations: [STATE_BASIS]
    no_obligations: [OFFER_OBJECTION]
    retry_at: 2026-11-19T09:00:00+01:00
    valid_until: null
`).Scenarios[0].Expect
	until := eligibility.Date{Year: 2027, Month: 1, Day: 2}.Midnight().Time()
	d := eligibility.Decision{
		Verdict: eligibility.Defer, Reason: eligibility.Hours, ValidUntil: until,
		Reasons:     eligibility.ReasonSet(0).With(eligibility.Hours),
		Obligations: 1 << eligibility.OfferObjection,
	}
	want := []string{
		"want DENY HOURS, got DEFER HOURS",
		"want reasons [OBJECTED HOURS], got [HOURS]",
		"want basis NL-TW-11.7-2, got none",
		"want obligations [STATE_BASIS], got [OFFER_OBJECTION]",
		"want no obligations [OFFER_OBJECTION], got [OFFER_OBJECTION]",
		"want retry_at 2026-11-19T09:00:00+01:00, got null",
		"want valid_until null, got 2027-01-02T00:00:00+01:00",
	}
	got := e.differences(&d)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
	d = eligibility.Decision{
		Verdict: eligibility.Deny, Reason: eligibility.Hours, RetryTime: *e.RetryAt,
		Reasons:     eligibility.ReasonSet(0).With(eligibility.Hours).With(eligibility.Objected),
		Basis:       eligibility.Basis{Article: "NL-TW-11.7-2"},
		Obligations: 1 << eligibility.StateBasis,
	}
	if got := e.differences(&d); got != nil {
		t.Errorf("an answer that meets every expectation differs: %v", got)
	}
	e = small(t, "\n  expect: {verdict: ALLOW, reason: OK_CONSENT}\n").Scenarios[0].Expect
	d.Verdict, d.Reason, d.ValidUntil = eligibility.Allow, eligibility.OKConsent, until
	if got := e.differences(&d); got != nil {
		t.Errorf("what an expectation leaves out is compared: %v", got)
	}
}
