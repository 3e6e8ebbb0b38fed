package law

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/belpoort/belpoort/eligibility"
)

func dutch(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("nl.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestNL(t *testing.T) {
	l, err := NL()
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Regimes) != 2 || l.Regimes[0].Until != l.Regimes[1].From || l.Regimes[1].Until != eligibility.Never {
		t.Errorf("regimes %+v", l.Regimes)
	}
	if at := l.Regimes[1].From.Time().UTC(); at.Format(time.RFC3339) != "2026-06-30T22:00:00Z" {
		t.Errorf("the new law begins at %s", at)
	}
	if len(l.Version) != 16 || l.Version != Version([]byte(dutch(t))) {
		t.Errorf("version %q", l.Version)
	}
	for _, name := range eligibility.Settings() {
		if l.Sources[name] == "" {
			t.Errorf("setting %s has no source", name)
		}
	}
}

// A mistake names the file, its line and the key.
func TestMistakesAreNamed(t *testing.T) {
	good := dutch(t)
	for name, c := range map[string]struct{ old, new, line, want string }{
		"unknown key":        {"calling_code:", "caling_code:", "", "caling_code: unknown key"},
		"missing key":        {"calling_code: \"+31\"\n", "", "", "calling_code: is missing"},
		"key twice":          {"jurisdiction: NL\n", "jurisdiction: NL\njurisdiction: BE\n", "", "stands twice"},
		"no time":            {"from: 2026-07-01T00:00:00+02:00", "from: 2026-07-01", "from: 2026-07-01\n", "regimes.from"},
		"overlap":            {"from: 2026-07-01T00:00:00+02:00", "from: 2026-06-01T00:00:00+02:00", "- id: NL-2026-07-01", "overlaps NL-2021-07-01"},
		"ends first":         {"until: 2026-07-01T00:00:00+02:00", "until: 2021-07-01T00:00:00+02:00", "- id: NL-2021-07-01", "ends before it begins"},
		"no regimes":         {"regimes:\n", "regimes: []\nextra:\n", "", "extra: unknown key"},
		"unknown reason":     {"reason: OK_LOTTERY", "reason: OK_LOTERY", "reason: OK_LOTERY", "relationships.reason"},
		"unknown class":      {"classes: [PUBLISHER]", "classes: [PRINTER]", "classes: [PRINTER]", "relationships.classes"},
		"unknown confidence": {"confidence: likely", "confidence: certain", "confidence: certain", "want sure, likely or unclear"},
		"no source":          {"source: Tw 11.7(5)\n", "source:\n", "source:\n", "relationships.source: want a text"},
		"unknown use":        {"caller_id: DENY, use: paging", "caller_id: NEVER, use: paging", "use: paging", "ranges.caller_id"},
		"no digits":          {"digits: [5, 6]", "digits: [five]", "digits: [five]", "ranges.digits"},
		"too many digits":    {"digits: [5, 6]", "digits: [16]", "digits: [16]", "3 to 13 digits"},
		"foreign prefix":     {"prefix: \"+3114\"", "prefix: \"+3214\"", "+3214", "ranges.prefix"},
		"no age":             {"minimum_age: {default: 16", "minimum_age: {default: sixteen", "minimum_age:", "settings.minimum_age"},
		"inside a setting":   {"per_day: 3,", "per_day: many,", "max_attempts:", "settings.max_attempts.per_day"},
		"a day twice":        {"\"05-04\": \"18:30\",", "\"05-04\": \"18:30\", \"05-04\": \"17:30\",", "early_close:", "stands twice"},
		"setting missing":    {"  state_basis:", "  state_bases:", "state_bases:", "state_bases: unknown key"},
		"a list for a map":   {"settings:\n", "settings: []\nsettings_:\n", "", "settings_: unknown key"},
		"by whim":            {"waiver: BY_SETTING", "waiver: BY_WHIM", "waiver: BY_WHIM", "want BY_SETTING"},
	} {
		if !strings.Contains(good, c.old) {
			t.Fatalf("%s: the law has no %q", name, c.old)
		}
		bad := strings.Replace(good, c.old, c.new, 1)
		_, err := Parse("nl.yaml", []byte(bad))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "nl.yaml:") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.line != "" {
			want := strings.Count(bad[:strings.Index(bad, c.line)], "\n") + 1
			if !strings.HasPrefix(err.Error(), "nl.yaml:"+itoa(want)+":") {
				t.Errorf("%s: want line %d: %v", name, want, err)
			}
		}
	}
	for _, bad := range []string{"", "- a", "a: [", "a: &x 1", strings.Repeat("#", maxFile+1)} {
		if _, err := Parse("nl.yaml", []byte(bad)); err == nil {
			t.Errorf("%.20q was read", bad)
		}
	}
}

func itoa(n int) string {
	var digits []byte
	for ; n > 0; n /= 10 {
		digits = append(digits, byte('0'+n%10))
	}
	slices.Reverse(digits)
	return string(digits)
}

// A regime may be loaded before it begins: it is in force from its own instant, and not a nanosecond before.
func TestAFutureRegimeBeginsByItself(t *testing.T) {
	until := "until: null\n  source: Energiewet"
	next := "- id: NL-2028-01-01\n  from: 2028-01-01T00:00:00+01:00\n  source: a bill\n  confidence: unclear\n  articles: {consent: NL-TW-11.7-2, consent_automated: NL-TW-11.7-1, requested: NL-TW-11.7-2, published: NL-TW-11.7-3, outside_eea: NL-TW-11.7-3, legal_person: NL-TW-11.7-2, caller_id: NL-TW-11.7-8, objection: NL-TW-11.7-2}\n\n# The numbering plan"
	good := dutch(t)
	if !strings.Contains(good, until) {
		t.Fatal("the law has another form now")
	}
	coming := strings.Replace(strings.Replace(good, until, "until: 2028-01-01T00:00:00+01:00\n  source: Energiewet", 1), "# The numbering plan", next, 1)
	l, err := Parse("nl.yaml", []byte(coming))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := l.Defaults.Override(map[string]any{"caller_id_published_required": false})
	if err != nil {
		t.Fatal(err)
	}
	charity := &eligibility.Organisation{ID: "heart", Class: eligibility.Idealistic}
	campaign := &eligibility.Campaign{ID: "gift", Organisation: charity, Purpose: eligibility.PurposeIdealistic, Product: "gift",
		Mode: eligibility.Human, Dialing: eligibility.Preview, Policy: policy}
	cat := &eligibility.Catalogue{Organisations: map[string]*eligibility.Organisation{"heart": charity},
		Campaigns: map[string]*eligibility.Campaign{"gift": campaign}, CallerIDs: anybody{}}
	donor := eligibility.Fold(eligibility.CalleeToken{1}, 1, time.Time{}, []eligibility.Fact{{Relationship: &eligibility.Relationship{
		Kind: eligibility.Donation, Organisation: "heart", Product: "gift", StartedAt: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}}})
	call := &eligibility.Call{Callee: "+31612345678", CallerID: "+31201234567", Campaign: campaign}
	begins := time.Date(2028, 1, 1, 0, 0, 0, 0, eligibility.Amsterdam)
	before := eligibility.Decide(donor, call, cat, l, begins.Add(-1))
	after := eligibility.Decide(donor, call, cat, l, begins)
	if before.Regime != "NL-2026-07-01" || before.Verdict == eligibility.Deny || after.Regime != "NL-2028-01-01" || after.Reason != eligibility.NoBasis {
		t.Errorf("before %s %s, after %s %s", before.Regime, before.Reason, after.Regime, after.Reason)
	}
	if !before.ValidUntil.Equal(begins) {
		t.Errorf("valid until %s", before.ValidUntil)
	}
}

// anybody is a register in which every number may be shown.
type anybody struct{}

func (anybody) Check(eligibility.CallerIDQuestion) eligibility.CallerIDFinding {
	return eligibility.CallerIDFinding{Changes: eligibility.Never}
}

// The schema, by which an editor helps whoever writes a law file, knows what the reader knows.
func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text string) error {
		var document any
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		return schema.Validate(plainly(document))
	}
	good := dutch(t)
	if err := validate(good); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"calling_code:", "caling_code:"}, {"reason: OK_LOTTERY", "reason: OK_LOTERY"}, {"confidence: likely", "confidence: certain"},
		{"digits: [5, 6]", "digits: [16]"}, {"  state_basis:", "  state_bases:"}, {"waiver: BY_SETTING", "waiver: BY_WHIM"},
		{"from: 2026-07-01T00:00:00+02:00", "from: soon"}, {"own_purpose: true", "own_porpoise: true"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("the law has no %q", change[0])
		}
		_, reader := Parse("nl.yaml", []byte(bad))
		if schema := validate(bad); schema == nil || reader == nil {
			t.Errorf("%s: schema %v, reader %v", change[1], schema, reader)
		}
	}
}

// plainly is a YAML document as JSON would have it: times are texts.
func plainly(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			v[key] = plainly(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = plainly(inner)
		}
	case time.Time:
		return v.Format(time.RFC3339)
	}
	return v
}
