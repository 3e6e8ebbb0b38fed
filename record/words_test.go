package record_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// sameWords holds one enum of the wire and one of the law together, word by word and number by number, both ways.
func sameWords[W interface {
	eligibility.Word
	fmt.Stringer
}](t *testing.T, enum protoreflect.EnumDescriptor, prefix string) {
	t.Helper()
	values := enum.Values()
	wire := map[int]string{}
	for i := range values.Len() {
		v := values.Get(i)
		word, ok := strings.CutPrefix(string(v.Name()), prefix)
		if !ok {
			t.Fatalf("%s does not begin with %s", v.Name(), prefix)
		}
		wire[int(v.Number())] = word
		if W(v.Number()).String() != word {
			t.Errorf("%s = %d is %v in the law", v.Name(), v.Number(), W(v.Number()))
		}
	}
	if wire[0] != "UNSPECIFIED" {
		t.Errorf("%s: 0 is %q", enum.Name(), wire[0])
	}
	for n := 1; n < 256; n++ {
		if eligibility.Known(W(n)) != (wire[n] != "") {
			t.Errorf("%s: the law knows %d: %v; the wire calls it %q", enum.Name(), n, eligibility.Known(W(n)), wire[n])
		}
		if parsed, err := eligibility.ParseWord[W](wire[n]); wire[n] != "" && (err != nil || int(parsed) != n) {
			t.Errorf("%s: the law reads %q as %d, %v", enum.Name(), wire[n], parsed, err)
		}
	}
}

func TestWordsAreTheSameOnTheWireAndInTheLaw(t *testing.T) {
	tried := map[protoreflect.Name]bool{}
	try := func(enum protoreflect.EnumDescriptor, same func(protoreflect.EnumDescriptor)) {
		tried[enum.Name()] = true
		same(enum)
	}
	as := func(enum protoreflect.Enum, same func(protoreflect.EnumDescriptor)) { try(enum.Descriptor(), same) }
	type d = protoreflect.EnumDescriptor
	as(belpoortv1.Verdict(0), func(e d) { sameWords[eligibility.Verdict](t, e, "VERDICT_") })
	as(belpoortv1.Reason(0), func(e d) { sameWords[eligibility.Reason](t, e, "REASON_") })
	as(belpoortv1.Obligation(0), func(e d) { sameWords[eligibility.Obligation](t, e, "OBLIGATION_") })
	as(belpoortv1.CallerIdPresentation(0), func(e d) { sameWords[eligibility.Presentation](t, e, "CALLER_ID_PRESENTATION_") })
	as(belpoortv1.SubscriberKind(0), func(e d) { sameWords[eligibility.SubscriberKind](t, e, "SUBSCRIBER_KIND_") })
	as(belpoortv1.Channel(0), func(e d) { sameWords[eligibility.Channel](t, e, "CHANNEL_") })
	as(belpoortv1.ConsentMethod(0), func(e d) { sameWords[eligibility.ConsentMethod](t, e, "CONSENT_METHOD_") })
	as(belpoortv1.VerificationMethod(0), func(e d) { sameWords[eligibility.VerificationMethod](t, e, "VERIFICATION_METHOD_") })
	as(belpoortv1.RelationshipKind(0), func(e d) { sameWords[eligibility.RelationshipKind](t, e, "RELATIONSHIP_KIND_") })
	as(belpoortv1.NumberSource(0), func(e d) { sameWords[eligibility.NumberSource](t, e, "NUMBER_SOURCE_") })
	as(belpoortv1.Via(0), func(e d) { sameWords[eligibility.Via](t, e, "VIA_") })
	as(belpoortv1.ObjectionScope(0), func(e d) { sameWords[eligibility.ObjectionScope](t, e, "OBJECTION_SCOPE_") })
	as(belpoortv1.ObjectedBy(0), func(e d) { sameWords[eligibility.ObjectedBy](t, e, "OBJECTED_BY_") })
	as(belpoortv1.Outcome(0), func(e d) { sameWords[eligibility.Outcome](t, e, "OUTCOME_") })
	as(belpoortv1.OfferHow(0), func(e d) { sameWords[eligibility.OfferHow](t, e, "OFFER_HOW_") })
	as(belpoortv1.OfferResult(0), func(e d) { sameWords[eligibility.OfferResult](t, e, "OFFER_RESULT_") })
	as(belpoortv1.OrganisationClass(0), func(e d) { sameWords[eligibility.OrganisationClass](t, e, "ORGANISATION_CLASS_") })
	as(belpoortv1.SuspensionCause(0), func(e d) { sameWords[eligibility.SuspensionCause](t, e, "SUSPENSION_CAUSE_") })
	as(belpoortv1.Licence(0), func(e d) { sameWords[eligibility.Licence](t, e, "LICENCE_") })
	as(belpoortv1.Purpose(0), func(e d) { sameWords[eligibility.Purpose](t, e, "PURPOSE_") })
	as(belpoortv1.Mode(0), func(e d) { sameWords[eligibility.Mode](t, e, "MODE_") })
	as(belpoortv1.Dialing(0), func(e d) { sameWords[eligibility.Dialing](t, e, "DIALING_") })
	for _, file := range []protoreflect.FileDescriptor{
		belpoortv1.File_belpoort_v1_decision_proto, belpoortv1.File_belpoort_v1_fact_proto, belpoortv1.File_belpoort_v1_catalogue_proto,
	} {
		for i := range file.Enums().Len() {
			if name := file.Enums().Get(i).Name(); !tried[name] {
				t.Errorf("nothing holds the enum %s and the law together", name)
			}
		}
	}
}

func TestKindsAreTheNumbersOfTheWire(t *testing.T) {
	fields := (&belpoortv1.Fact{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	seen := map[int32]bool{}
	for _, f := range everyFact() {
		m := record.FactToProto(f).ProtoReflect()
		set := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))
		if record.KindOf(f) != int32(set.Number()) {
			t.Errorf("kind of %s is %d, on the wire %d", set.Name(), record.KindOf(f), set.Number())
		}
		seen[record.KindOf(f)] = true
	}
	if len(seen) != fields.Len() {
		t.Errorf("%d kinds tried, the wire has %d", len(seen), fields.Len())
	}
	if record.KindOf(eligibility.Fact{}) != 0 {
		t.Error("a fact without a kind has one")
	}
}

func TestEveryReasonHasASentence(t *testing.T) {
	seen := map[string]eligibility.Reason{}
	for n := 1; n < 256; n++ {
		reason := eligibility.Reason(n)
		if !eligibility.Known(reason) {
			continue
		}
		for _, language := range []string{"en", "nl"} {
			s, ok := record.Sentence(reason, language)
			if !ok || !strings.HasSuffix(s, ".") || strings.ContainsAny(s, ";:_") {
				t.Errorf("%v in %s cannot be read aloud: %q", reason, language, s)
			}
			if other, twice := seen[s]; twice {
				t.Errorf("%v and %v have the same sentence in %s", reason, other, language)
			}
			seen[s] = reason
		}
	}
	if _, ok := record.Sentence(eligibility.Objected, "de"); ok {
		t.Error("there are German sentences")
	}
}
