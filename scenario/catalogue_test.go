package scenario

import (
	"reflect"
	"testing"

	"github.com/belpoort/belpoort/eligibility"
)

func TestCatalogueForApply(t *testing.T) {
	c, err := LoadCatalogue("../eligibility/testdata/catalogue.yaml")
	if err != nil {
		t.Fatal(err)
	}
	built, err := c.Build(nl(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(built.Organisations) != len(c.Organisations) || len(built.Campaigns) != len(c.Campaigns) || len(c.CallerIDs) < 30 {
		t.Errorf("got %d organisations, %d campaigns, %d caller IDs", len(built.Organisations), len(built.Campaigns), len(c.CallerIDs))
	}
	lottery := built.Campaigns["cijferspel-tickets"].Organisation
	if lottery != built.Organisations["cijferspel"] || lottery.Licence != eligibility.WOK27B || lottery.Group != "staatslot" {
		t.Errorf("got %+v", lottery)
	}
	if !built.Similar("power", "gas") || built.Similar("power", "newspaper") {
		t.Error("product families are wrong")
	}
	if !built.Campaigns["acme-x-bundled"].Policy.AllowBundledChannels || built.Campaigns["acme-x"].Policy.AllowBundledChannels {
		t.Error("a campaign's policy is not its own")
	}
}

func TestCatalogueForApplyIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		"policy: {}\n":                   "f.yaml:1:1: catalogue: is missing",
		"catalogue: {}\nscenarios: []\n": `f.yaml:2:1: scenarios: unknown key "scenarios", want one of include, policy, catalogue`,
	} {
		_, err := ParseCatalogue("f.yaml", []byte(text))
		wantProblem(t, err, want)
	}
}

func TestCanaries(t *testing.T) {
	const campaign = "catalogue:\n  organisations: [" + acme + "]\n  campaigns: [{id: x, organisation: acme, purpose: SERVICE, product: p, mode: HUMAN, dialing: PREVIEW}]\n"
	c, err := ParseCatalogue("f.yaml", []byte(campaign+"  canaries: [{number: 085-8889990, campaign: x, caller_id: 020-1234567}]\n"))
	want := []Canary{{Number: "+31858889990", CallerID: "+31201234567", Campaign: "x"}}
	if err != nil || !reflect.DeepEqual(c.Canaries, want) {
		t.Errorf("%v, %v", c, err)
	}
	for written, problem := range map[string]string{
		"{number: 085-8889990, campaign: y, caller_id: 020-1234567}": `f.yaml:4:46: catalogue.canaries[0].campaign: unknown campaign "y"`,
		"{number: 12, campaign: x, caller_id: 020-1234567}":          "f.yaml:4:23: catalogue.canaries[0].number: is not a telephone number",
		"{number: 085-8889990, campaign: x}":                         "f.yaml:4:14: catalogue.canaries[0].caller_id: is missing",
	} {
		_, err := ParseCatalogue("f.yaml", []byte(campaign+"  canaries: ["+written+"]\n"))
		wantProblem(t, err, problem)
	}
}

// TestPolicyLayers: defaults, then included files, then the including file, then the campaign; maps merge per key.
func TestPolicyLayers(t *testing.T) {
	files(t, map[string]string{
		"main.yaml": "include: [base.yaml]\npolicy: {max_attempts: {per_day: 2}, minimum_age: 17}\ncatalogue:\n  organisations: [" + acme + "]\n  campaigns:\n" +
			"  - {id: x, organisation: acme, purpose: SERVICE, product: p, mode: HUMAN, dialing: PREVIEW, policy: {minimum_age: 18}}\n" +
			"  - {id: y, organisation: acme, purpose: SERVICE, product: p, mode: HUMAN, dialing: PREVIEW}\n",
		"base.yaml": "policy: {max_attempts: {per_day: 9, per_campaign: 5}, mourning_days: [2026-11-20], state_basis: true}\n",
	})
	c, err := LoadCatalogue("main.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"max_attempts": map[string]any{"per_day": 2, "per_campaign": 5}, "mourning_days": []any{"2026-11-20"}, "state_basis": true, "minimum_age": 17,
	}
	if !reflect.DeepEqual(c.Policy, want) {
		t.Errorf("got %v", c.Policy)
	}
	built, err := c.Build(nl(t))
	if err != nil {
		t.Fatal(err)
	}
	x, y := built.Campaigns["x"].Policy, built.Campaigns["y"].Policy
	if x.MinimumAge != 18 || y.MinimumAge != 17 || x.MaxAttemptsPerDay != 2 || x.MaxAttemptsPerCampaign != 5 || !x.StateBasis || len(x.MourningDays) != 1 {
		t.Errorf("got %+v", x)
	}
	if want := nl(t).Defaults.AbandonedCooldown; x.AbandonedCooldown != want {
		t.Errorf("a default is lost: %v", x.AbandonedCooldown)
	}
}

// TestSettingProblems: a wrong setting is told where it stands, also when an included file wrote it.
func TestSettingProblems(t *testing.T) {
	files(t, map[string]string{
		"main.yaml": "include: [base.yaml]\ncatalogue:\n  organisations: [" + acme + "]\n  campaigns:\n" +
			"  - {id: x, organisation: acme, purpose: SERVICE, product: p, mode: HUMAN, dialing: PREVIEW, policy: {hour: none}}\n",
		"base.yaml": "policy:\n  max_attempts: {per_day: 0}\n",
	})
	c, err := LoadCatalogue("main.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Build(nl(t))
	wantProblem(t, err, `base.yaml:2:18: policy.max_attempts.per_day: want a whole number from 1 to 1000, got 0
main.yaml:5:103: catalogue.campaigns[0].policy.hour: unknown setting`)
}

// TestPlain: what looks like a number or a date but is none stays the text that was written.
func TestPlain(t *testing.T) {
	c, err := ParseCatalogue("f.yaml", []byte("catalogue: {}\npolicy: {a: +3184, b: 084, c: 2026-11-20, d: 12, e: 1.5, f: true, g: \"12\", h: 18:30, i: null, j: 0x10, k: .inf}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": "+3184", "b": "084", "c": "2026-11-20", "d": 12, "e": 1.5, "f": true, "g": "12", "h": "18:30", "i": nil, "j": "0x10", "k": ".inf"}
	if !reflect.DeepEqual(c.Policy, want) {
		t.Errorf("got %#v", c.Policy)
	}
}
