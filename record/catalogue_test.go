package record_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// everybody is a register that keeps what it was given.
type everybody []record.Registration

func (everybody) Check(eligibility.CallerIDQuestion) eligibility.CallerIDFinding {
	return eligibility.CallerIDFinding{Changes: eligibility.Never}
}

func keep(list []record.Registration) (eligibility.CallerIDRegister, error) {
	return everybody(list), nil
}

func settings(t testing.TB, m map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func catalogue(t testing.TB) *belpoortv1.Catalogue {
	return &belpoortv1.Catalogue{
		Organisations: []*belpoortv1.Organisation{
			{Id: "acme", LegalName: "Acme B.V.", Class: belpoortv1.OrganisationClass_ORGANISATION_CLASS_COMMERCIAL, Brand: "acme", Group: "g"},
			{Id: "krant", LegalName: "Krant B.V.", Class: belpoortv1.OrganisationClass_ORGANISATION_CLASS_PUBLISHER, IssuesPerYear: 300, DigitalOnly: true},
			{Id: "lot", LegalName: "Lot", Class: belpoortv1.OrganisationClass_ORGANISATION_CLASS_GAMBLING_LICENSEE, Licence: belpoortv1.Licence_LICENCE_WOK_3},
		},
		CallerIds: []*belpoortv1.CallerId{{
			Number: "020 123 45 67", Organisation: "acme", ValidFromTime: timestamppb.New(at(1)), ValidUntilTime: timestamppb.New(at(9)),
			CallbackTestTime: timestamppb.New(at(2)), PublishedUrl: "https://acme.example/",
		}},
		Campaigns: []*belpoortv1.Campaign{
			{Id: "acme-x", Organisation: "acme", Purpose: belpoortv1.Purpose_PURPOSE_COMMERCIAL, Product: "power",
				Mode: belpoortv1.Mode_MODE_HUMAN, Dialing: belpoortv1.Dialing_DIALING_PREDICTIVE, Brand: "other", Suspended: true,
				Policy: settings(t, map[string]any{"minimum_age": 21})},
			{Id: "krant-y", Organisation: "krant", Purpose: belpoortv1.Purpose_PURPOSE_IDEALISTIC,
				Mode: belpoortv1.Mode_MODE_AUTOMATED, Dialing: belpoortv1.Dialing_DIALING_PREVIEW},
		},
		ProductFamilies: []*belpoortv1.ProductFamily{{Id: "energy", Products: []string{"power", "gas"}}, {Id: "all", Products: []string{"power"}}},
		Policy:          settings(t, map[string]any{"minimum_age": 18, "state_basis": true}),
		Canaries:        []*belpoortv1.Canary{{Number: "+31858889990", Campaign: "acme-x", CallerId: "+31201234567"}},
	}
}

func law() *eligibility.Law {
	return &eligibility.Law{Defaults: eligibility.Policy{MinimumAge: 16, Week: eligibility.Week{1: {{From: 540, Until: 1260}}}}}
}

func TestACatalogueIsReadWhole(t *testing.T) {
	c, err := record.CatalogueFromProto(catalogue(t), law(), keep)
	if err != nil {
		t.Fatal(err)
	}
	acme := &eligibility.Organisation{ID: "acme", LegalName: "Acme B.V.", Class: eligibility.Commercial, Brand: "acme", Group: "g"}
	if !reflect.DeepEqual(c.Organisations["acme"], acme) {
		t.Errorf("acme = %+v", c.Organisations["acme"])
	}
	if k := c.Organisations["krant"]; k.IssuesPerYear != 300 || !k.DigitalOnly || k.Class != eligibility.Publisher {
		t.Errorf("krant = %+v", k)
	}
	if l := c.Organisations["lot"]; l.Licence != eligibility.WOK3 {
		t.Errorf("lot = %+v", l)
	}
	want := everybody{{Number: "+31201234567", Organisation: "acme", ValidFrom: at(1), ValidUntil: at(9), CallbackTestedAt: at(2),
		PublishedURL: "https://acme.example/"}}
	if !reflect.DeepEqual(c.CallerIDs, want) {
		t.Errorf("caller ids = %+v", c.CallerIDs)
	}
	x, y := c.Campaigns["acme-x"], c.Campaigns["krant-y"]
	if x.Organisation != c.Organisations["acme"] || x.Product != "power" || x.Brand != "other" || !x.Suspended ||
		x.Purpose != eligibility.PurposeCommercial || x.Mode != eligibility.Human || x.Dialing != eligibility.Predictive {
		t.Errorf("acme-x = %+v", x)
	}
	if x.Policy.MinimumAge != 21 || !x.Policy.StateBasis || y.Policy.MinimumAge != 18 || y.Mode != eligibility.Automated {
		t.Errorf("policies: acme-x %+v, krant-y %+v", x.Policy, y.Policy)
	}
	if !c.Similar("power", "gas") || c.Similar("gas", "telecom") || len(c.Families["power"]) != 2 {
		t.Errorf("families = %v", c.Families)
	}
}

func TestTheLawsDefaultsStayAsTheyAre(t *testing.T) {
	l := law()
	if _, err := record.CatalogueFromProto(catalogue(t), l, keep); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(l, law()) {
		t.Errorf("a catalogue changed the law: %+v", l.Defaults)
	}
}

func TestTheSameCatalogueGivesTheSameBytes(t *testing.T) {
	many := map[string]any{"minimum_age": 18, "state_basis": true, "kings_day": "open", "liberation_day": "closed", "request_ttl": "7 days"}
	m := catalogue(t)
	m.Policy = settings(t, many)
	first, err := record.MarshalCatalogue(m)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		m.Policy = settings(t, many)
		if again, err := record.MarshalCatalogue(m); err != nil || string(again) != string(first) {
			t.Fatal("the same catalogue gives other bytes")
		}
	}
	back, err := record.UnmarshalCatalogue(1, first)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := record.MarshalCatalogue(back); err != nil || string(again) != string(first) {
		t.Error("a catalogue read back gives other bytes")
	}
}

func TestBadCataloguesAreRefusedByPath(t *testing.T) {
	type c = *belpoortv1.Catalogue
	for _, bad := range []struct {
		path  string
		spoil func(c)
	}{
		{"catalogue.organisations[1].id", func(m c) { m.Organisations[1].Id = "acme" }},
		{"catalogue.canaries[0].number", func(m c) { m.Canaries[0].Number = "12" }},
		{"catalogue.canaries[1].number", func(m c) { m.Canaries = append(m.Canaries, m.Canaries[0]) }},
		{"catalogue.canaries[0].caller_id", func(m c) { m.Canaries[0].CallerId = "" }},
		{"catalogue.canaries[0].campaign", func(m c) { m.Canaries[0].Campaign = "acme-y" }},
		{"catalogue.canaries", func(m c) { m.Canaries = make([]*belpoortv1.Canary, 17) }},
		{"catalogue.organisations[0].id", func(m c) { m.Organisations[0].Id = "Acme" }},
		{"catalogue.organisations[0].id", func(m c) { m.Organisations[0].Id = strings.Repeat("a", 65) }},
		{"catalogue.organisations[0].legal_name", func(m c) { m.Organisations[0].LegalName = "" }},
		{"catalogue.organisations[0].class", func(m c) { m.Organisations[0].Class = 0 }},
		{"catalogue.organisations[0].class", func(m c) { m.Organisations[0].Class = 5 }},
		{"catalogue.organisations[0].licence", func(m c) { m.Organisations[0].Licence = 1 }},
		{"catalogue.organisations[2].licence", func(m c) { m.Organisations[2].Licence = 9 }},
		{"catalogue.organisations[0].issues_per_year", func(m c) { m.Organisations[0].IssuesPerYear = 1 }},
		{"catalogue.organisations[1].issues_per_year", func(m c) { m.Organisations[1].IssuesPerYear = -1 }},
		{"catalogue.organisations[0].digital_only", func(m c) { m.Organisations[0].DigitalOnly = true }},
		{"catalogue.caller_ids[0].number", func(m c) { m.CallerIds[0].Number = "12" }},
		{"catalogue.caller_ids[0].organisation", func(m c) { m.CallerIds[0].Organisation = "globex" }},
		{"catalogue.caller_ids[0].organisation", func(m c) { m.CallerIds[0].Organisation = "" }},
		{"catalogue.caller_ids[0].valid_until_time", func(m c) { m.CallerIds[0].ValidUntilTime = m.CallerIds[0].ValidFromTime }},
		{"catalogue.caller_ids[0].callback_test_time", func(m c) { m.CallerIds[0].CallbackTestTime = &timestamppb.Timestamp{Seconds: 1 << 40} }},
		{"catalogue.caller_ids[0].published_url", func(m c) { m.CallerIds[0].PublishedUrl = "acme.example" }},
		{"catalogue.caller_ids[0].published_url", func(m c) { m.CallerIds[0].PublishedUrl = "javascript://x" }},
		{"catalogue.campaigns[1].id", func(m c) { m.Campaigns[1].Id = "acme-x" }},
		{"catalogue.campaigns[1].organisation", func(m c) { m.Campaigns[1].Organisation = "globex" }},
		{"catalogue.campaigns[1].purpose", func(m c) { m.Campaigns[1].Purpose = 0 }},
		{"catalogue.campaigns[1].mode", func(m c) { m.Campaigns[1].Mode = 3 }},
		{"catalogue.campaigns[1].dialing", func(m c) { m.Campaigns[1].Dialing = 0 }},
		{"catalogue.campaigns[1].policy.minimum_agee", func(m c) { m.Campaigns[1].Policy = settings(t, map[string]any{"minimum_agee": 1}) }},
		{"catalogue.campaigns[0].policy.hours", func(m c) { m.Campaigns[0].Policy = settings(t, map[string]any{"hours": "always"}) }},
		{"catalogue.policy.max_attempts.per_day", func(m c) {
			m.Policy = settings(t, map[string]any{"max_attempts": map[string]any{"per_day": "three"}})
		}},
		{"catalogue.product_families[1].id", func(m c) { m.ProductFamilies[1].Id = "energy" }},
		{"catalogue.product_families[1].products", func(m c) { m.ProductFamilies[1].Products = nil }},
		{"catalogue.product_families[0].products[1]", func(m c) { m.ProductFamilies[0].Products[1] = "power" }},
		{"catalogue.campaigns[0]", func(m c) {
			m.Campaigns[0].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 4000, protowire.VarintType), 1))
		}},
	} {
		m := catalogue(t)
		bad.spoil(m)
		_, err := record.CatalogueFromProto(m, law(), keep)
		var field *record.FieldError
		if !errors.As(err, &field) || field.Field != bad.path || field.Problem == "" {
			t.Errorf("want an error that names %s, got %v", bad.path, err)
		}
	}
	if _, err := record.CatalogueFromProto(nil, law(), keep); err == nil {
		t.Error("no catalogue is taken for one")
	}
	refuse := func([]record.Registration) (eligibility.CallerIDRegister, error) { return nil, errors.New("no") }
	if _, err := record.CatalogueFromProto(catalogue(t), law(), refuse); err == nil {
		t.Error("a register's refusal is passed over")
	}
}

func TestADecisionIsWrittenDownWhole(t *testing.T) {
	c, err := record.CatalogueFromProto(catalogue(t), law(), keep)
	if err != nil {
		t.Fatal(err)
	}
	call := &eligibility.Call{Callee: "+31612345678", CallerID: "+31201234567", Campaign: c.Campaigns["acme-x"], Person: "P",
		Unreported: []eligibility.Attempt{{Campaign: "acme-x", At: at(2)}}}
	d := &eligibility.Decision{
		Verdict: eligibility.Allow, Reason: eligibility.OKConsent, Reasons: eligibility.ReasonSet(0).With(eligibility.OKConsent),
		Basis: eligibility.Basis{Kind: eligibility.OKConsent, Article: "NL-TW-11.7-2", Position: 5,
			Since: eligibility.InstantOf(at(1), 0), Until: eligibility.InstantOf(at(5), 0)},
		Obligations: 1 << eligibility.OfferObjection, ValidUntil: at(4), Regime: "NL-2026-07-01", CallerIDKnown: true,
	}
	with := record.Circumstances{DecisionID: strings.Repeat("a", 32), At: at(3), Callee: eligibility.CalleeToken{1}, LawVersion: "v",
		LedgerPosition: 8, CataloguePosition: 2, StatesPosition: 3, Client: "dialer-1", RequestID: "q", CallID: "c", Person: "mark"}
	m := record.DecisionToProto(d, call, with)
	if missing := unset(m.ProtoReflect()); len(missing) > 0 {
		t.Errorf("not written: %v", missing)
	}
	if m.GetMode() != belpoortv1.Mode_MODE_HUMAN || m.GetDialing() != belpoortv1.Dialing_DIALING_PREDICTIVE || m.GetOrganisation() != "acme" {
		t.Errorf("the campaign's words are not taken: %v", m)
	}
	if strings.Contains(m.String(), "612345678") {
		t.Errorf("the decision holds the callee's number: %v", m)
	}
	d.CallerIDKnown, d.Verdict = false, eligibility.Deny
	m = record.DecisionToProto(d, call, record.Circumstances{At: time.Now()})
	if m.GetCallerId() != "" || m.GetBasis() != nil || m.GetCalleeToken() != "" {
		t.Errorf("an unknown caller ID, a basis or a callee is written: %v", m)
	}
	payload, err := record.MarshalDecision(m)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := record.UnmarshalDecision(payload); err != nil || back.String() != m.String() {
		t.Errorf("read back: %v %v", back, err)
	}
	if _, err := record.UnmarshalDecision([]byte{0xff}); !errors.Is(err, record.ErrPayload) {
		t.Errorf("a damaged decision: %v", err)
	}
}
