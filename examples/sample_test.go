package examples

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/eligibility/law"
	"github.com/belpoort/belpoort/loader"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/scenario"
)

var update = flag.Bool("update", false, "write the committed files anew")

// committed is the day for which the committed files are made.
var committed = time.Date(2026, 11, 20, 12, 0, 0, 0, time.FixedZone("CET", 3600))

func TestCommittedFilesAreWhatWriteMakes(t *testing.T) {
	if *update {
		if err := Write(".", committed); err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	if err := Write(folder, committed); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range made {
		want, _ := os.ReadFile(filepath.Join(folder, file.Name()))
		got, err := os.ReadFile(file.Name())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what Write makes (go test ./examples -update): %v", file.Name(), err)
		}
	}
	csvs, _ := filepath.Glob("*.csv")
	lines, _ := filepath.Glob("*.jsonl")
	if len(csvs)+len(lines) != len(made)-1 {
		t.Errorf("%d CSV and %d JSON Lines files here, %d made", len(csvs), len(lines), len(made)-1)
	}
}

// world is the samples as the law sees them: parsed, loaded and folded by the real rooms.
type world struct {
	law       *eligibility.Law
	catalogue *eligibility.Catalogue
	facts     map[string][]eligibility.Fact
	reports   map[string]loader.Report
}

func (w *world) Record(_ context.Context, facts []*belpoortv1.RecordFactRequest) (loader.Result, error) {
	for _, f := range facts {
		fact, err := record.FactFromProto(f.GetFact())
		if err != nil {
			return loader.Result{}, err
		}
		w.facts[f.GetCallee()] = append(w.facts[f.GetCallee()], fact)
	}
	return loader.Result{Recorded: uint64(len(facts))}, nil
}

var sampleKinds = map[string]loader.Kind{
	"consents-voltwerk.csv":      loader.Consents,
	"relationships-voltwerk.csv": loader.Relationships,
	"relationships-vleugels.csv": loader.Relationships,
	"relationships-courant.csv":  loader.Relationships,
	"objections.csv":             loader.Objections,
	"call-requests.csv":          loader.CallRequests,
}

func load(t *testing.T, now time.Time) *world {
	t.Helper()
	files, err := render(now)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{facts: map[string][]eligibility.Fact{}, reports: map[string]loader.Report{}}
	if w.law, err = law.NL(); err != nil {
		t.Fatal(err)
	}
	parsed, err := scenario.ParseCatalogue("catalogue.yaml", files["catalogue.yaml"])
	if err != nil {
		t.Fatal(err)
	}
	if w.catalogue, err = parsed.Build(w.law); err != nil {
		t.Fatal(err)
	}
	for name, kind := range sampleKinds {
		report, err := loader.Import(t.Context(), bytes.NewReader(files[name]), loader.Options{Kind: kind, Name: "sample"}, w)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.reports[name] = report
	}
	return w
}

func (w *world) ask(callee, callerID, campaign string, at time.Time) string {
	e := eligibility.Fold(eligibility.CalleeToken{}, 1, at, w.facts[callee])
	call := &eligibility.Call{
		Callee: callee, CallerID: callerID, Presentation: presentationAllowed, Campaign: w.catalogue.Campaigns[campaign],
	}
	d := eligibility.Decide(e, call, w.catalogue, w.law, at)
	return fmt.Sprint(d.Verdict, " ", d.Reason)
}

var presentationAllowed = func() eligibility.Presentation {
	p, err := eligibility.ParseWord[eligibility.Presentation]("ALLOWED")
	if err != nil {
		panic(err)
	}
	return p
}()

// The demonstration must work whenever somebody tries it: every day of a year, at hours that wander.
func TestTheDemonstrationWorksAtAnyHour(t *testing.T) {
	for week := range 53 {
		made := committed.AddDate(0, 0, 7*week)
		w := load(t, made)
		for hour := 0; hour < 7*24; hour += 13 {
			now := made.Add(time.Duration(hour)*time.Hour + 59*time.Minute)
			if got := w.ask(DemoAllowed, DemoCallerID, DemoCampaign, now); got != "ALLOW OK_CONSENT" {
				t.Fatalf("%v: %s, want ALLOW", now, got)
			}
			if got := w.ask(DemoDenied, DemoCallerID, DemoCampaign, now); got != "DENY OBJECTED" {
				t.Fatalf("%v: %s, want DENY OBJECTED", now, got)
			}
		}
	}
}

// What README.md says of each number, on a Friday at noon.
func TestReadmeTellsTheAnswers(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	w := load(t, committed)
	rows := 0
	for line := range strings.Lines(string(readme)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 || !strings.Contains(cells[0], "`+31") {
			continue
		}
		rows++
		word := func(i int) string { return strings.Trim(strings.TrimSpace(cells[i]), "`") }
		if got := w.ask(word(0), word(1), word(2), committed); got != word(3) {
			t.Errorf("%s from %s for %s: %s, README says %s", word(0), word(1), word(2), got, word(3))
		}
	}
	if rows < 15 {
		t.Errorf("README.md has %d answers", rows)
	}
}

func TestBrokenRowsAreRejected(t *testing.T) {
	w := load(t, committed)
	for name, want := range map[string]string{
		"consents-voltwerk.csv":      "11 rows: bad_date 1, missing 2, spoilt_number 1",
		"relationships-voltwerk.csv": "3 rows: ",
		"relationships-vleugels.csv": "8 rows: bad_word 1, spoilt_number 1",
		"relationships-courant.csv":  "6 rows: missing 1",
		"objections.csv":             "7 rows: bad_number 1, bad_word 1",
		"call-requests.csv":          "4 rows: bad_date 1",
	} {
		var reasons []string
		for reason, count := range w.reports[name].Reasons {
			reasons = append(reasons, fmt.Sprint(reason, " ", count))
		}
		slices.Sort(reasons)
		if got := fmt.Sprintf("%d rows: %s", w.reports[name].Rows, strings.Join(reasons, ", ")); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
