package record_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

var sum = strings.Repeat("0aF9", 16)

func at(n int) time.Time { return time.Unix(1_790_000_000+int64(n), 123456789).UTC() }

// everyFact is one fact of each kind with everything set.
func everyFact() []eligibility.Fact {
	return []eligibility.Fact{
		{Subscriber: &eligibility.Subscriber{
			Kind: eligibility.LegalPerson, PrivateLine: true, PublishedForUnsolicited: true, EstablishedIn: "BE",
			Born: eligibility.Date{Year: 2000, Month: 2, Day: 29}, Since: at(1)}},
		{Consent: &eligibility.Consent{
			ID: "c", Organisations: []string{"a", "b"}, Channels: []eligibility.Channel{eligibility.SMS, eligibility.Phone},
			Products: []string{"p"}, Purposes: []eligibility.Purpose{eligibility.PurposeIdealistic}, Person: "P", GivenAt: at(1),
			Method: eligibility.Voice, Preticked: true, Bundled: true, OwnInitiative: true, Source: "s", Wording: "w",
			Evidence: &eligibility.Evidence{URI: "u", SHA256: sum}, ExpiresAt: at(3),
			Verified: &eligibility.Verification{Method: eligibility.VerifiedByApp, At: at(2)}, FirstCallWithin: eligibility.Duration{Months: 9}}},
		{Withdrawal: &eligibility.Withdrawal{ConsentID: "c", At: at(1), Via: eligibility.ViaPost}},
		{Relationship: &eligibility.Relationship{
			Kind: eligibility.Quote, Organisation: "a", Product: "p", StartedAt: at(1), EndedAt: at(2),
			NumberSource: eligibility.Purchased, NoObjectionOfferAtCollection: true}},
		{CallRequest: &eligibility.CallRequest{
			Organisation: "a", Product: "p", RequestedAt: at(1), CallAt: at(2), Source: "s",
			Evidence: &eligibility.Evidence{URI: "u", SHA256: sum}}},
		{Objection: &eligibility.Objection{
			Organisation: "a", At: at(1), Via: eligibility.ViaIVR, Scope: eligibility.ScopeProduct, Product: "p",
			By: eligibility.ByHouseholdMember, Receipt: "r", DecisionID: "0123456789abcdef0123456789abcdef", OwnWords: "w"}},
		{CallReport: &eligibility.CallReport{Campaign: "k", At: at(1), Outcome: eligibility.Busy, ObjectionOffered: true, DecisionID: "0123456789abcdef0123456789abcdef",
			EndedAt: at(2), Late: true, Agent: "a", Recording: "r", OfferHow: eligibility.ByAgent, OfferResult: eligibility.OfferHungUp}},
		{ObjectionOffer: &eligibility.ObjectionOffer{
			DecisionID: "0123456789abcdef0123456789abcdef", Organisation: "a", Campaign: "k", At: at(1), How: eligibility.ByIVR,
			Recording: "r", Result: eligibility.OfferNoInput, Menu: "m", Digit: "9"}},
		{ListEntry: &eligibility.ListEntry{List: "TPS", Since: at(1), LoadedAt: at(2)}},
		{Correction: &eligibility.Correction{Objection: 3, Proposal: 4, At: at(1), Reason: "mistyped", ProposedBy: "a", ApprovedBy: "b"}},
		{Erasure: &eligibility.Erasure{At: at(1), Reason: "asked", Client: "dpo", Born: eligibility.Date{Year: 2010, Month: 2, Day: 28}}},
		{Disposal: &eligibility.Disposal{At: at(1), Positions: []uint64{3, 5, 300}, Number: true, Run: 2}},
		{CorrectionProposed: &eligibility.CorrectionProposed{Objection: 3, At: at(1), Reason: "mistyped", Client: "a"}},
	}
}

// unset lists the fields of a message, and of the messages in it, that are not set.
func unset(m protoreflect.Message, skip ...protoreflect.Name) []string {
	var missing []string
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		skipped := false
		for _, name := range skip {
			skipped = skipped || f.Name() == name
		}
		switch {
		case skipped || m.Has(f) && f.Message() == nil:
		case !m.Has(f) && f.ContainingOneof() == nil:
			missing = append(missing, string(f.FullName()))
		case m.Has(f) && !f.IsList() && !f.IsMap() && f.Message().FullName() != "google.protobuf.Timestamp":
			missing = append(missing, unset(m.Get(f).Message(), skip...)...)
		}
	}
	return missing
}

func TestNothingIsLostOnTheWayThereAndBack(t *testing.T) {
	for _, fact := range everyFact() {
		m := record.FactToProto(fact)
		if missing := unset(m.ProtoReflect(), "organisation", "consent_id"); len(missing) > 0 && fact.Withdrawal != nil {
			t.Errorf("not carried: %v", missing)
		} else if missing := unset(m.ProtoReflect()); len(missing) > 0 && fact.Withdrawal == nil {
			t.Errorf("not carried: %v", missing)
		}
		back, err := record.FactFromProto(m)
		if err != nil || !reflect.DeepEqual(back, fact) {
			t.Errorf("there and back: %v\n got %+v\nwant %+v", err, back, fact)
		}
		payload, err := record.Marshal(fact)
		if err != nil {
			t.Fatal(err)
		}
		fact.Position = 7
		if back, err = record.Unmarshal(7, payload); err != nil || !reflect.DeepEqual(back, fact) {
			t.Errorf("through the ledger: %v\n got %+v\nwant %+v", err, back, fact)
		}
	}
}

// anyFact draws facts with any part of them absent.
func anyFact() *rapid.Generator[eligibility.Fact] {
	return rapid.Custom(func(t *rapid.T) eligibility.Fact {
		facts := everyFact()
		f := facts[rapid.IntRange(0, len(facts)-1).Draw(t, "kind")]
		part := reflect.ValueOf(f)
		for i := range part.NumField() {
			if v := part.Field(i); v.Kind() == reflect.Pointer && !v.IsNil() {
				blank(t, v.Elem())
			}
		}
		return f
	})
}

// needed are the fields without which a fact is no fact.
var needed = map[string]bool{
	"Consent.ID": true, "Withdrawal.ConsentID": true, "Withdrawal.At": true, "Withdrawal.Via": true, "Relationship.Kind": true,
	"Relationship.Organisation": true, "Relationship.StartedAt": true, "CallRequest.Organisation": true,
	"CallRequest.RequestedAt": true, "Objection.Organisation": true, "Objection.At": true, "Objection.Via": true,
	"Objection.Scope": true, "Objection.Product": true, "CallReport.Campaign": true, "CallReport.At": true,
	"CallReport.Outcome": true, "ListEntry.List": true, "ObjectionOffer.Organisation": true, "ObjectionOffer.Campaign": true,
	"ObjectionOffer.At": true, "ObjectionOffer.How": true, "ObjectionOffer.Result": true,
	"Correction.At": true, "CorrectionProposed.At": true, "Erasure.At": true, "Disposal.At": true,
}

func blank(t *rapid.T, v reflect.Value) {
	for i := range v.NumField() {
		name := v.Type().Name() + "." + v.Type().Field(i).Name
		if !needed[name] && rapid.Bool().Draw(t, name) {
			v.Field(i).SetZero()
		}
	}
}

func TestImperfectFactsKeepTheirGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fact := anyFact().Draw(t, "fact")
		payload, err := record.Marshal(fact)
		if err != nil {
			t.Fatal(err)
		}
		back, err := record.Unmarshal(0, payload)
		if err != nil || !reflect.DeepEqual(back, fact) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, back, fact)
		}
		again, err := record.Marshal(back)
		if err != nil || !bytes.Equal(again, payload) {
			t.Fatalf("the same fact gives other bytes: %v", err)
		}
	})
}

func TestWhatMustBeGivenIsMissed(t *testing.T) {
	for name := range needed {
		kind, field, _ := strings.Cut(name, ".")
		for _, fact := range everyFact() {
			v := reflect.ValueOf(fact).FieldByName(kind)
			if v.IsNil() {
				continue
			}
			v.Elem().FieldByName(field).SetZero()
			if _, err := record.FactFromProto(record.FactToProto(fact)); err == nil {
				t.Errorf("a fact without %s is taken", name)
			}
		}
	}
}

// bad is a fact with one thing wrong, and the field that the error must name.
type bad struct {
	field string
	fact  *belpoortv1.Fact
}

// spoil changes a whole fact of the kind that a path names.
func spoil[M proto.Message](field string, change func(M)) bad {
	for _, f := range everyFact() {
		m := record.FactToProto(f)
		inner := m.ProtoReflect().Get(m.ProtoReflect().WhichOneof(m.ProtoReflect().Descriptor().Oneofs().ByName("kind"))).Message().Interface()
		if part, ok := inner.(M); ok {
			change(part)
			return bad{field, m}
		}
	}
	panic("no such kind")
}

func many(n int) []string { return strings.Split(strings.Repeat("x,", n-1)+"x", ",") }

func badFacts() []bad {
	long, early := strings.Repeat("x", 129), timestamppb.New(time.Date(1899, 12, 31, 23, 59, 59, 0, time.UTC))
	late := timestamppb.New(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC))
	type consent = *belpoortv1.Consent
	return []bad{
		{"fact", nil},
		{"fact", &belpoortv1.Fact{}},
		spoil("fact.subscriber.kind", func(m *belpoortv1.Subscriber) { m.Kind = 7 }),
		spoil("fact.subscriber.kind", func(m *belpoortv1.Subscriber) { m.Kind = -1 }),
		spoil("fact.subscriber.kind", func(m *belpoortv1.Subscriber) { m.Kind = 257 }),
		spoil("fact.subscriber.established_in", func(m *belpoortv1.Subscriber) { m.EstablishedIn = "nl" }),
		spoil("fact.subscriber.established_in", func(m *belpoortv1.Subscriber) { m.EstablishedIn = "NLD" }),
		spoil("fact.subscriber.born", func(m *belpoortv1.Subscriber) { m.Born = "2001-02-29" }),
		spoil("fact.subscriber.born", func(m *belpoortv1.Subscriber) { m.Born = "1899-12-31" }),
		spoil("fact.subscriber.since_time", func(m *belpoortv1.Subscriber) { m.SinceTime = early }),
		spoil("fact.consent.consent_id", func(m consent) { m.ConsentId = "" }),
		spoil("fact.consent.consent_id", func(m consent) { m.ConsentId = long }),
		spoil("fact.consent.organisations", func(m consent) { m.Organisations = many(65) }),
		spoil("fact.consent.organisations[1]", func(m consent) { m.Organisations = []string{"a", ""} }),
		spoil("fact.consent.organisations[0]", func(m consent) { m.Organisations = []string{long} }),
		spoil("fact.consent.channels[1]", func(m consent) { m.Channels[1] = 0 }),
		spoil("fact.consent.channels[0]", func(m consent) { m.Channels[0] = 5 }),
		spoil("fact.consent.products", func(m consent) { m.Products = many(65) }),
		spoil("fact.consent.products[0]", func(m consent) { m.Products = []string{strings.Repeat("x", 257)} }),
		spoil("fact.consent.purposes[0]", func(m consent) { m.Purposes[0] = 9 }),
		spoil("fact.consent.person", func(m consent) { m.Person = strings.Repeat("x", 257) }),
		spoil("fact.consent.give_time", func(m consent) { m.GiveTime = late }),
		spoil("fact.consent.give_time", func(m consent) { m.GiveTime = &timestamppb.Timestamp{Nanos: -1} }),
		spoil("fact.consent.method", func(m consent) { m.Method = 99 }),
		spoil("fact.consent.source", func(m consent) { m.Source = strings.Repeat("x", 2049) }),
		spoil("fact.consent.wording", func(m consent) { m.Wording = strings.Repeat("x", 257) }),
		spoil("fact.consent.evidence.uri", func(m consent) { m.Evidence.Uri = strings.Repeat("x", 2049) }),
		spoil("fact.consent.evidence.sha256", func(m consent) { m.Evidence.Sha256 = sum[1:] }),
		spoil("fact.consent.evidence.sha256", func(m consent) { m.Evidence.Sha256 = "g" + sum[1:] }),
		spoil("fact.consent.verified.method", func(m consent) { m.Verified.Method = 0 }),
		spoil("fact.consent.verified.verify_time", func(m consent) { m.Verified.VerifyTime = nil }),
		spoil("fact.consent.expire_time", func(m consent) { m.ExpireTime = late }),
		spoil("fact.consent.first_call_within", func(m consent) { m.FirstCallWithin = "soon" }),
		spoil("fact.withdrawal", func(m *belpoortv1.Withdrawal) { m.Organisation = "a" }),
		spoil("fact.withdrawal", func(m *belpoortv1.Withdrawal) { m.ConsentId = "" }),
		spoil("fact.withdrawal.withdraw_time", func(m *belpoortv1.Withdrawal) { m.WithdrawTime = nil }),
		spoil("fact.withdrawal.via", func(m *belpoortv1.Withdrawal) { m.Via = 0 }),
		spoil("fact.relationship.kind", func(m *belpoortv1.Relationship) { m.Kind = 0 }),
		spoil("fact.relationship.number_source", func(m *belpoortv1.Relationship) { m.NumberSource = 4 }),
		spoil("fact.call_request.organisation", func(m *belpoortv1.CallRequest) { m.Organisation = "" }),
		spoil("fact.objection.via", func(m *belpoortv1.Objection) { m.Via = 8 }),
		spoil("fact.objection.product", func(m *belpoortv1.Objection) { m.Product = "" }),
		spoil("fact.objection.product", func(m *belpoortv1.Objection) { m.Scope = 0 }),
		spoil("fact.objection.scope", func(m *belpoortv1.Objection) { m.Scope = 5 }),
		spoil("fact.call_report.decision_id", func(m *belpoortv1.CallReport) { m.DecisionId = "0123" }),
		spoil("fact.call_report.outcome", func(m *belpoortv1.CallReport) { m.Outcome = 0 }),
		spoil("fact.list_entry.list", func(m *belpoortv1.ListEntry) { m.List = "" }),
	}
}

func TestBadFactsAreRefusedByField(t *testing.T) {
	for _, b := range badFacts() {
		_, err := record.FactFromProto(b.fact)
		var field *record.FieldError
		if !errors.As(err, &field) || field.Field != b.field || field.Problem == "" {
			t.Errorf("want an error that names %s, got %v", b.field, err)
		}
	}
}

func TestErrorsDoNotRepeatWhatWasSent(t *testing.T) {
	const marker = "0612345678"
	for _, b := range []bad{
		spoil("fact.subscriber.born", func(m *belpoortv1.Subscriber) { m.Born = marker }),
		spoil("fact.consent.first_call_within", func(m *belpoortv1.Consent) { m.FirstCallWithin = marker }),
		spoil("fact.consent.evidence.sha256", func(m *belpoortv1.Consent) { m.Evidence.Sha256 = marker }),
		spoil("fact.consent.person", func(m *belpoortv1.Consent) { m.Person = strings.Repeat(marker, 30) }),
	} {
		if _, err := record.FactFromProto(b.fact); err == nil || strings.Contains(err.Error(), marker) {
			t.Errorf("%s: %v", b.field, err)
		}
	}
}

func TestAFieldOfANewerVersionIsRefused(t *testing.T) {
	newer := protowire.AppendVarint(protowire.AppendTag(nil, 4000, protowire.VarintType), 1)
	for _, fact := range everyFact() {
		m := record.FactToProto(fact)
		inner := m.ProtoReflect().Get(m.ProtoReflect().WhichOneof(m.ProtoReflect().Descriptor().Oneofs().ByName("kind"))).Message()
		inner.SetUnknown(newer)
		if _, err := record.FactFromProto(m); err == nil {
			t.Errorf("%s: a field that is not known is dropped", inner.Descriptor().Name())
		}
	}
	m := record.FactToProto(everyFact()[1])
	m.GetConsent().GetEvidence().ProtoReflect().SetUnknown(newer)
	if _, err := record.FactFromProto(m); err == nil {
		t.Error("a field of the evidence that is not known is dropped")
	}
}

func TestADamagedPayloadIsAnError(t *testing.T) {
	good, err := record.Marshal(everyFact()[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range [][]byte{nil, {}, {0xff}, good[:len(good)-1], append([]byte{0xf8, 0x01}, good...)} {
		if _, err := record.Unmarshal(3, payload); !errors.Is(err, record.ErrPayload) {
			t.Errorf("%x: %v", payload, err)
		}
	}
	if _, err := record.Marshal(eligibility.Fact{}); err == nil {
		t.Error("a fact without a kind has a payload")
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, fact := range everyFact() {
		payload, err := record.Marshal(fact)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		fact, err := record.Unmarshal(1, payload)
		if err != nil {
			return
		}
		once, err := record.Marshal(fact)
		if err != nil {
			t.Fatal(err)
		}
		again, err := record.Unmarshal(1, once)
		if err != nil || !reflect.DeepEqual(again, fact) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, again, fact)
		}
	})
}
