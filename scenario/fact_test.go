package scenario

import (
	"reflect"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func wantFacts(t *testing.T, rest string, want ...eligibility.Fact) {
	t.Helper()
	got := small(t, "\n  facts:\n"+rest+goodExpect[1:]).Scenarios[0].Facts
	if len(got) != len(want) {
		t.Fatalf("got %d facts, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(normal(got[i]), normal(want[i])) {
			t.Errorf("fact %d:\ngot  %+v\nwant %+v", i, normal(got[i]), normal(want[i]))
		}
	}
}

// normal is the fact as a struct that compares by value, its times in one zone.
func normal(f eligibility.Fact) any {
	v := reflect.ValueOf(f)
	for i := range v.NumField() {
		if p := v.Field(i); p.Kind() == reflect.Pointer && !p.IsNil() {
			clone := reflect.New(p.Type().Elem()).Elem()
			clone.Set(p.Elem())
			for j := range clone.NumField() {
				if t, ok := clone.Field(j).Interface().(time.Time); ok {
					clone.Field(j).Set(reflect.ValueOf(t.UTC()))
				}
			}
			return clone.Interface()
		}
	}
	return nil
}

func TestFactDefaults(t *testing.T) {
	began := at("2026-11-16T10:00:00+01:00")
	wantFacts(t, `
  - subscriber: {}
  - consent: {id: c}
  - relationship: {kind: SALE, organisation: acme, started_at: 2026-11-16T10:00:00+01:00}
  - objection: {organisation: acme, at: 2026-11-16T10:00:00+01:00}
  - call: {campaign: acme-x, at: 2026-11-16T10:00:00+01:00, outcome: BUSY}
  - list_entry: {list: TPS}
  - withdrawal: {organisation: acme, at: 2026-11-16T10:00:00+01:00}
`,
		eligibility.Fact{Subscriber: &eligibility.Subscriber{Kind: eligibility.UnknownKind}},
		eligibility.Fact{Consent: &eligibility.Consent{ID: "c"}},
		eligibility.Fact{Relationship: &eligibility.Relationship{Kind: eligibility.Sale, Organisation: "acme", StartedAt: began, NumberSource: eligibility.FromSubject}},
		eligibility.Fact{Objection: &eligibility.Objection{Organisation: "acme", At: began, Scope: eligibility.ScopeOrganisation, By: eligibility.BySubscriber}},
		eligibility.Fact{CallReport: &eligibility.CallReport{Campaign: "acme-x", At: began, Outcome: eligibility.Busy}},
		eligibility.Fact{ListEntry: &eligibility.ListEntry{List: "TPS"}},
		eligibility.Fact{Withdrawal: &eligibility.Withdrawal{Organisation: "acme", At: began}},
	)
}

// TestFactKeys writes every key, some unquoted where they look like numbers or truth values.
func TestFactKeys(t *testing.T) {
	hash := "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
	a, b := at("2026-11-16T10:00:00.123456789+01:00"), at("2026-11-17T09:00:00Z")
	evidence := &eligibility.Evidence{URI: "s3://x", SHA256: hash}
	wantFacts(t, `
  - subscriber: {kind: SOLE_TRADER, private_line: true, published_for_unsolicited: true, established_in: US, born: 2011-03-01, since: 2026-11-17T09:00:00Z}
  - consent: {id: 007, organisations: [acme], channels: [PHONE, SMS], products: [123, true], purposes: [COMMERCIAL], person: 42,
      given_at: 2026-11-16T10:00:00.123456789+01:00, method: PAPER, active_act: false, bundled: true, own_initiative: true, source: 1, wording: 2026-03,
      evidence: {uri: "s3://x", sha256: `+hash+`}, verified: {method: PHONE, at: 2026-11-17T09:00:00Z},
      expires_at: 2026-11-17T09:00:00Z, first_call_within: 9 months}
  - withdrawal: {consent: 007, at: 2026-11-17T09:00:00Z, via: POST}
  - relationship: {kind: FREE_TRIAL, organisation: acme, product: 123, started_at: 2026-11-16T10:00:00.123456789+01:00, ended_at: 2026-11-17T09:00:00Z, number_from: PURCHASED, objection_offered_at_collection: false}
  - call_request: {organisation: acme, product: 1e3, requested_at: 2026-11-17T09:00:00Z, call_at: 2026-11-17T09:00:00Z, source: web, evidence: {uri: "s3://x", sha256: `+hash+`}}
  - objection: {organisation: acme, at: 2026-11-17T09:00:00Z, via: REGULATOR, scope: PRODUCT, product: 123, by: HOUSEHOLD_MEMBER}
  - call: {campaign: acme-x, at: 2026-11-17T09:00:00Z, outcome: VOICEMAIL, objection_offered: true}
  - list_entry: {list: TPS, since: 2026-11-17T09:00:00Z, list_loaded_at: 2026-11-17T09:00:00Z}
`,
		eligibility.Fact{Subscriber: &eligibility.Subscriber{Kind: eligibility.SoleTrader, PrivateLine: true, PublishedForUnsolicited: true, EstablishedIn: "US", Born: eligibility.Date{Year: 2011, Month: 3, Day: 1}, Since: b}},
		eligibility.Fact{Consent: &eligibility.Consent{
			ID: "007", Organisations: []string{"acme"}, Channels: []eligibility.Channel{eligibility.Phone, eligibility.SMS},
			Products: []string{"123", "true"}, Purposes: []eligibility.Purpose{eligibility.PurposeCommercial}, Person: "42",
			GivenAt: a, Method: eligibility.Paper, Preticked: true, Bundled: true, OwnInitiative: true, Source: "1", Wording: "2026-03",
			Evidence: evidence, Verified: &eligibility.Verification{Method: eligibility.VerifiedByPhone, At: b},
			ExpiresAt: b, FirstCallWithin: eligibility.Duration{Months: 9},
		}},
		eligibility.Fact{Withdrawal: &eligibility.Withdrawal{ConsentID: "007", At: b, Via: eligibility.ViaPost}},
		eligibility.Fact{Relationship: &eligibility.Relationship{Kind: eligibility.FreeTrial, Organisation: "acme", Product: "123", StartedAt: a, EndedAt: b, NumberSource: eligibility.Purchased, NoObjectionOfferAtCollection: true}},
		eligibility.Fact{CallRequest: &eligibility.CallRequest{Organisation: "acme", Product: "1e3", RequestedAt: b, CallAt: b, Source: "web", Evidence: evidence}},
		eligibility.Fact{Objection: &eligibility.Objection{Organisation: "acme", At: b, Via: eligibility.ViaRegulator, Scope: eligibility.ScopeProduct, Product: "123", By: eligibility.ByHouseholdMember}},
		eligibility.Fact{CallReport: &eligibility.CallReport{Campaign: "acme-x", At: b, Outcome: eligibility.Voicemail, ObjectionOffered: true}},
		eligibility.Fact{ListEntry: &eligibility.ListEntry{List: "TPS", Since: b, LoadedAt: b}},
	)
}

// TestLike: keys beside it replace keys, nested maps whole, and null takes a key away; the named fact stays as it is.
func TestLike(t *testing.T) {
	asked := eligibility.CallRequest{Organisation: "acme", Product: "product-x", RequestedAt: at("2026-11-16T10:00:00+01:00")}
	other, proven := asked, asked
	other.Product, other.Source = "product-y", "web"
	proven.Evidence = &eligibility.Evidence{URI: "s3://x"}
	wantFacts(t, `
  - {like: asked, product: product-y, source: web}
  - {evidence: {uri: "s3://x"}, like: asked, source: null}
  - {like: asked}
`, eligibility.Fact{CallRequest: &other}, eligibility.Fact{CallRequest: &proven}, eligibility.Fact{CallRequest: &asked})

	file, err := Parse("f.yaml", []byte(`facts: {c: {consent: {id: c, evidence: {uri: a, sha256: `+
		"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"+`}}}}
catalogue: {organisations: [`+acme+`], campaigns: [`+acmeX+`]}
scenarios: [{id: 1, title: T, at: 2026-11-18T14:00:00+01:00, call: {to: 112, campaign: x}, expect: {verdict: DENY, reason: NO_BASIS}, facts: [{like: c, evidence: {uri: b}}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	if got := *file.Scenarios[0].Facts[0].Consent.Evidence; got != (eligibility.Evidence{URI: "b"}) {
		t.Errorf("a nested map is not replaced whole: %+v", got)
	}
}

func TestCall(t *testing.T) {
	file, err := Parse("f.yaml", []byte(head+`
  call: {to: 0612345678, from: 0031 (0)20-123.45.67, campaign: acme-x, person: 9, presentation: RESTRICTED, mode: AUTOMATED, dialing: PREDICTIVE}`+goodExpect))
	if err != nil {
		t.Fatal(err)
	}
	want := Call{"+31612345678", "+31201234567", "acme-x", "9", eligibility.PresentationRestricted, eligibility.Automated, eligibility.Predictive}
	if got := file.Scenarios[0].Call; got != want {
		t.Errorf("got %+v", got)
	}
	file, err = Parse("f.yaml", []byte(head+"\n  call: {to: 112, from: anonymous, campaign: acme-x}"+goodExpect))
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Scenarios[0].Call; got != (Call{Campaign: "acme-x", Presentation: eligibility.PresentationAllowed}) {
		t.Errorf("numbers that cannot be called or shown: got %+v", got)
	}
}

func FuzzLoad(f *testing.F) {
	for _, c := range problemCases {
		if len(c.file) < 1<<12 {
			f.Add(c.file)
		}
	}
	f.Add(head + goodCall + goodExpect)
	law := nl(f)
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("f.yaml", []byte(text))
		if (file == nil) == (err == nil) {
			t.Fatalf("got %v and %v", file, err)
		}
		if c, err := ParseCatalogue("f.yaml", []byte(text)); (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		if file == nil {
			return
		}
		catalogue, err := file.Catalogue.Build(law)
		if err != nil {
			return
		}
		for i := range file.Scenarios {
			s := &file.Scenarios[i]
			s.Expect.differences(s.decide(catalogue, law))
		}
	})
}
