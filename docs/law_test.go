package docs_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/belpoort/belpoort/callerid"
	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/eligibility/law"
	"github.com/belpoort/belpoort/scenario"
)

func dutchLaw(t *testing.T) *eligibility.Law {
	t.Helper()
	nl, err := law.NL()
	if err != nil {
		t.Fatal(err)
	}
	return nl
}

func scenarios(t *testing.T) []scenario.Scenario {
	t.Helper()
	file, err := scenario.Load(filepath.Join(house, "eligibility", "testdata", "nl.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return file.Scenarios
}

func articles(r *eligibility.Regime) []string {
	all := []string{
		r.Consent, r.ConsentAutomated, r.Requested, r.Published, r.OutsideEEA, r.LegalPerson, r.CallerID, r.Objection,
	}
	for i := range r.Relationships {
		all = append(all, r.Relationships[i].Article)
	}
	return all
}

func TestLawNamesEverythingThatTheLawHolds(t *testing.T) {
	page, nl := read(t, "law.md"), dutchLaw(t)
	var wanted []string
	for i := range nl.Regimes {
		wanted = append(append(wanted, nl.Regimes[i].ID), articles(&nl.Regimes[i])...)
		for _, rule := range nl.Regimes[i].Relationships {
			wanted = append(wanted, rule.Reason.String())
		}
	}
	for r := eligibility.Reason(1); r < 255; r++ {
		if eligibility.Known(r) {
			wanted = append(wanted, r.String())
		}
	}
	for o := eligibility.OfferObjection; o <= eligibility.StateBasis; o++ {
		wanted = append(wanted, o.String())
	}
	for _, word := range wanted {
		if word == "" || !regexp.MustCompile(`(^|[^A-Z0-9_-])`+regexp.QuoteMeta(word)+`([^A-Z0-9_-]|$)`).MatchString(page) {
			t.Errorf("law.md does not speak of %q", word)
		}
	}
	if len(wanted) < 70 {
		t.Errorf("only %d words were looked for", len(wanted))
	}
}

func TestLawNamesScenariosThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, s := range scenarios(t) {
		known[s.ID] = true
	}
	named := regexp.MustCompile(`\bnl-\d{3}[a-z]?\b`).FindAllString(read(t, "law.md"), -1)
	slices.Sort(named)
	named = slices.Compact(named)
	for _, id := range named {
		if !known[id] {
			t.Errorf("law.md names %s, which does not exist", id)
		}
		delete(known, id)
	}
	for id := range known {
		t.Errorf("law.md does not say which rule %s shows", id)
	}
}

// row is a line of the tables "Article, rule, code, scenarios".
var row = regexp.MustCompile(`(?m)^\| .+ \| .+ \| (.+) \| .+ \| (nl-.+) \|$`)

// A scenario that stands beside an answer must end in it, or show its edge; each answer needs one that ends in it.
func TestLawsScenariosEndInTheirAnswers(t *testing.T) {
	ends := map[string]string{}
	for _, s := range scenarios(t) {
		ends[s.ID] = s.Expect.Reason.String()
	}
	rows := row.FindAllStringSubmatch(read(t, "law.md"), -1)
	for _, found := range rows {
		for answer := range strings.SplitSeq(found[1], ", ") {
			if strings.HasPrefix(answer, "(") {
				continue
			}
			met := false
			for id := range strings.SplitSeq(found[2], ", ") {
				met = met || ends[id] == answer
			}
			if !met {
				t.Errorf("no scenario of %q ends in %s", found[2], answer)
			}
		}
	}
	if len(rows) < 30 {
		t.Errorf("%d rows found", len(rows))
	}
}

func TestLawListsEverySetting(t *testing.T) {
	var file struct {
		Settings map[string]struct {
			Default    yaml.Node
			Source     string
			Confidence string
			Meaning    string
		}
	}
	text := read(t, filepath.Join(house, "eligibility", "law", "nl.yaml"))
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| setting | default | meaning | source | confidence |\n|---|---|---|---|---|\n")
	for _, name := range eligibility.Settings() {
		s, ok := file.Settings[name]
		if !ok {
			t.Fatalf("nl.yaml has no default for %s", name)
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s | %s |\n", name, flowOf(t, s.Default), s.Meaning, s.Source, s.Confidence)
	}
	generated(t, "law.md", "settings", table.String())
}

// flowOf writes a value as a reader of YAML would, on one line.
func flowOf(t *testing.T, n yaml.Node) string {
	t.Helper()
	n.Style = yaml.FlowStyle
	text, err := yaml.Marshal(&n)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// The example of how to change a setting holds every one, and each really changes the policy.
func TestLawShowsHowToChangeEverySetting(t *testing.T) {
	found := regexp.MustCompile("(?s)```yaml\n(policy:\n.+?)```").FindStringSubmatch(read(t, "law.md"))
	if found == nil {
		t.Fatal("law.md holds no example of a policy")
	}
	file, err := scenario.ParseCatalogue("law.md", []byte("catalogue: {}\n"+found[1]))
	if err != nil {
		t.Fatal(err)
	}
	defaults := dutchLaw(t).Defaults
	for _, name := range eligibility.Settings() {
		value, shown := file.Policy[name]
		if !shown {
			t.Errorf("the example lacks %s", name)
			continue
		}
		p, err := defaults.Override(map[string]any{name: value})
		if err != nil {
			t.Errorf("the example: %v", err)
		} else if reflect.DeepEqual(*p, defaults) {
			t.Errorf("the example sets %s to its default", name)
		}
	}
}

// Every relationship that is a basis in some regime ends in its reason: in a scenario of that regime, and in a case made
// from the rule itself.
func TestEveryRelationshipOfEveryRegimeIsMet(t *testing.T) {
	nl, all := dutchLaw(t), scenarios(t)
	for i := range nl.Regimes {
		regime := &nl.Regimes[i]
		for j := range regime.Relationships {
			rule := &regime.Relationships[j]
			t.Run(regime.ID+" "+rule.Reason.String(), func(t *testing.T) {
				shown := slices.IndexFunc(all, func(s scenario.Scenario) bool {
					at := eligibility.InstantOf(s.At, 0)
					return s.Expect.Reason == rule.Reason && regime.From <= at && at < regime.Until
				})
				if shown < 0 {
					t.Logf("no scenario of this regime; the case made from the rule is the only one")
				}
				meets(t, nl, regime, rule)
			})
		}
	}
}

// meets makes an organisation, a relationship and a call that fulfil a rule, and one that came a term too late.
func meets(t *testing.T, nl *eligibility.Law, regime *eligibility.Regime, rule *eligibility.RelationshipBasis) {
	t.Helper()
	at := weekdayIn(regime)
	catalogue, campaign := callerUnder(t, nl, rule, at)
	kind := eligibility.RelationshipKind(1)
	for ; !rule.Kinds.Has(kind) && !(rule.ByPolicy && campaign.Policy.DemonstrationCounts.Has(kind)); kind++ {
		if !eligibility.Known(kind) {
			t.Fatal("the rule takes no kind of relationship")
		}
	}
	decide := func(ended time.Time) eligibility.Decision {
		fact := eligibility.Fact{Position: 1, Relationship: &eligibility.Relationship{
			Kind: kind, Organisation: campaign.Organisation.ID, Product: campaign.Product, StartedAt: at.AddDate(-6, 0, 0), EndedAt: ended,
		}}
		call := &eligibility.Call{Callee: "+31612345678", CallerID: "+31201234567", Campaign: campaign}
		return eligibility.Decide(eligibility.Fold(eligibility.CalleeToken{1}, 1, at, []eligibility.Fact{fact}), call, catalogue, nl, at)
	}
	d := decide(time.Time{})
	if d.Verdict != eligibility.Allow || d.Reason != rule.Reason || d.Basis.Article != rule.Article || d.Regime != regime.ID {
		t.Errorf("got %v %v, basis %q under %s", d.Verdict, d.Reasons.List(), d.Basis.Article, d.Regime)
	}
	if d = decide(at.AddDate(-4, 0, 0)); d.Verdict != eligibility.Deny || d.Reason != eligibility.TermExpired {
		t.Errorf("four years after the end: got %v %v", d.Verdict, d.Reasons.List())
	}
}

// weekdayIn is a Wednesday noon in a regime, with no holiday near.
func weekdayIn(regime *eligibility.Regime) time.Time {
	at := time.Unix(0, int64(regime.From)).In(eligibility.Amsterdam).AddDate(0, 2, 0)
	at = time.Date(at.Year(), at.Month(), at.Day(), 12, 0, 0, 0, eligibility.Amsterdam)
	for at.Weekday() != time.Wednesday {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

func callerUnder(
	t *testing.T, nl *eligibility.Law, rule *eligibility.RelationshipBasis, at time.Time,
) (*eligibility.Catalogue, *eligibility.Campaign) {
	t.Helper()
	organisation := &eligibility.Organisation{ID: "caller", Class: eligibility.Commercial, IssuesPerYear: rule.IssuesPerYear}
	if len(rule.Classes) > 0 {
		organisation.Class = rule.Classes[0]
	}
	if len(rule.Licences) > 0 {
		organisation.Licence = rule.Licences[0]
	}
	campaign := &eligibility.Campaign{
		ID: "campaign", Organisation: organisation, Purpose: eligibility.PurposeCommercial, Product: "product",
		Mode: eligibility.Human, Dialing: eligibility.Preview, Policy: &nl.Defaults,
	}
	if rule.OwnPurpose {
		campaign.Purpose = eligibility.PurposeIdealistic
	}
	register, err := callerid.NewRegister([]callerid.Registration{{
		Number: "+31201234567", Organisation: organisation.ID, CallbackTestedAt: at.AddDate(0, -1, 0), PublishedURL: "https://caller.example/",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &eligibility.Catalogue{
		Organisations: map[string]*eligibility.Organisation{organisation.ID: organisation},
		Campaigns:     map[string]*eligibility.Campaign{campaign.ID: campaign}, CallerIDs: register,
	}, campaign
}
