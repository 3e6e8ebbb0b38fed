package examples

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/loader"
)

// presetFiles are the samples in the layouts of the presets, with how many of their rows are taken, and why the others are not.
var presetFiles = map[string]struct {
	file    string
	taken   uint64
	reasons string
}{
	"opt-outs":       {"opt-outs.csv", 3, "map[bad_word:1 spoilt_number:1]"},
	"vicidial-calls": {"calls-vicidial.csv", 4, "map[bad_word:1 spoilt_number:1]"},
	"web-form":       {"consents-web-form.jsonl", 2, "map[bad_number:1 missing:1]"},
}

// Every preset reads its sample, which nobody could read without it, and says what it is for.
func TestEveryPresetReadsItsSample(t *testing.T) {
	files, err := render(committed)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, preset := range loader.Presets() {
		names = append(names, preset.Name)
		sample, there := presetFiles[preset.Name]
		if !there || preset.Mapping.About == "" || preset.Mapping.Kind == "" {
			t.Errorf("%s: no sample, or it does not say what it is for: %+v", preset.Name, preset.Mapping)
			continue
		}
		w := &world{facts: map[string][]eligibility.Fact{}}
		opts := loader.Options{Kind: preset.Mapping.Kind, Clock: func() time.Time { return committed }}
		if report, err := loader.Import(t.Context(), bytes.NewReader(files[sample.file]), opts, w); err == nil {
			t.Errorf("%s: read without the preset: %+v", sample.file, report)
		}
		opts.Mapping = preset.Mapping
		report, err := loader.Import(t.Context(), bytes.NewReader(files[sample.file]), opts, w)
		if err != nil || report.Recorded != sample.taken || fmt.Sprint(report.Reasons) != sample.reasons {
			t.Errorf("%s: %+v, %v, want %d and %s", sample.file, report, err, sample.taken, sample.reasons)
		}
	}
	if len(names) != len(presetFiles) || !slices.IsSorted(names) {
		t.Errorf("presets %q, samples for %d", names, len(presetFiles))
	}
}

// What the words and defaults of presets make of the samples.
func TestPresetsMeanWhatTheySay(t *testing.T) {
	files, _ := render(committed)
	var made []*belpoortv1.RecordFactRequest
	for _, preset := range loader.Presets() {
		opts := loader.Options{Kind: preset.Mapping.Kind, Mapping: preset.Mapping, Clock: func() time.Time { return committed }}
		if _, err := loader.Import(t.Context(), bytes.NewReader(files[presetFiles[preset.Name].file]), opts, gathering{&made}); err != nil {
			t.Fatal(err)
		}
	}
	of := func(callee string) *belpoortv1.Fact {
		i := slices.IndexFunc(made, func(r *belpoortv1.RecordFactRequest) bool { return r.GetCallee() == callee })
		if i < 0 {
			t.Fatalf("nothing about %s", callee)
		}
		return made[i].GetFact()
	}
	if got := of("+31101234503").GetCallReport().GetOutcome(); got != belpoortv1.Outcome_OUTCOME_ABANDONED {
		t.Errorf("VICIdial's DROP is %v", got)
	}
	if got := of("+31101234562").GetObjection(); got.GetVia() != belpoortv1.Via_VIA_WEB || got.GetOrganisation() != "voltwerk" {
		t.Errorf("%v", got)
	}
	if got := of("+31101234571").GetConsent(); got.GetMethod() != belpoortv1.ConsentMethod_CONSENT_METHOD_WEB_FORM || len(got.GetProducts()) != 2 || got.GetPreticked() {
		t.Errorf("%v", got)
	}
}

// gathering keeps what is handed over.
type gathering struct {
	made *[]*belpoortv1.RecordFactRequest
}

func (g gathering) Record(_ context.Context, facts []*belpoortv1.RecordFactRequest) (loader.Result, error) {
	*g.made = append(*g.made, facts...)
	return loader.Result{Recorded: uint64(len(facts))}, nil
}
