package loader

import (
	"slices"
	"strings"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// vocabulary holds the words of one column: those of the API, with or without their prefix, and Dutch ones. Case, spaces,
// hyphens and dots do not matter.
type vocabulary struct {
	numbers map[string]int32
	known   []string // the API's words
}

var (
	viaWords = newVocabulary(belpoortv1.Via_VIA_IVR.Descriptor(), map[string]belpoortv1.Via{
		"keuzemenu":      belpoortv1.Via_VIA_IVR,
		"medewerker":     belpoortv1.Via_VIA_AGENT,
		"telefonisch":    belpoortv1.Via_VIA_AGENT,
		"telefoon":       belpoortv1.Via_VIA_AGENT,
		"gesprek":        belpoortv1.Via_VIA_AGENT,
		"terugbellijn":   belpoortv1.Via_VIA_CALLBACK_LINE,
		"teruggebeld":    belpoortv1.Via_VIA_CALLBACK_LINE,
		"website":        belpoortv1.Via_VIA_WEB,
		"webformulier":   belpoortv1.Via_VIA_WEB,
		"e-mail":         belpoortv1.Via_VIA_EMAIL,
		"mail":           belpoortv1.Via_VIA_EMAIL,
		"brief":          belpoortv1.Via_VIA_POST,
		"toezichthouder": belpoortv1.Via_VIA_REGULATOR,
		"acm":            belpoortv1.Via_VIA_REGULATOR,
	})
	methodWords = newVocabulary(belpoortv1.ConsentMethod_CONSENT_METHOD_APP.Descriptor(), map[string]belpoortv1.ConsentMethod{
		"webformulier":      belpoortv1.ConsentMethod_CONSENT_METHOD_WEB_FORM,
		"formulier":         belpoortv1.ConsentMethod_CONSENT_METHOD_WEB_FORM,
		"website":           belpoortv1.ConsentMethod_CONSENT_METHOD_WEB_FORM,
		"telefonisch":       belpoortv1.ConsentMethod_CONSENT_METHOD_VOICE,
		"mondeling":         belpoortv1.ConsentMethod_CONSENT_METHOD_VOICE,
		"spraakopname":      belpoortv1.ConsentMethod_CONSENT_METHOD_VOICE,
		"papier":            belpoortv1.ConsentMethod_CONSENT_METHOD_PAPER,
		"schriftelijk":      belpoortv1.ConsentMethod_CONSENT_METHOD_PAPER,
		"bevestigde e-mail": belpoortv1.ConsentMethod_CONSENT_METHOD_CONFIRMED_EMAIL,
		"e-mail bevestigd":  belpoortv1.ConsentMethod_CONSENT_METHOD_CONFIRMED_EMAIL,
		"bevestigde sms":    belpoortv1.ConsentMethod_CONSENT_METHOD_CONFIRMED_SMS,
		"sms bevestigd":     belpoortv1.ConsentMethod_CONSENT_METHOD_CONFIRMED_SMS,
	})
	verificationWords = newVocabulary(belpoortv1.VerificationMethod_VERIFICATION_METHOD_SMS.Descriptor(), map[string]belpoortv1.VerificationMethod{
		"e-mail":      belpoortv1.VerificationMethod_VERIFICATION_METHOD_EMAIL,
		"mail":        belpoortv1.VerificationMethod_VERIFICATION_METHOD_EMAIL,
		"telefoon":    belpoortv1.VerificationMethod_VERIFICATION_METHOD_PHONE,
		"telefonisch": belpoortv1.VerificationMethod_VERIFICATION_METHOD_PHONE,
	})
	channelWords = newVocabulary(belpoortv1.Channel_CHANNEL_PHONE.Descriptor(), map[string]belpoortv1.Channel{
		"telefoon":    belpoortv1.Channel_CHANNEL_PHONE,
		"telefonisch": belpoortv1.Channel_CHANNEL_PHONE,
		"bellen":      belpoortv1.Channel_CHANNEL_PHONE,
		"e-mail":      belpoortv1.Channel_CHANNEL_EMAIL,
		"mail":        belpoortv1.Channel_CHANNEL_EMAIL,
		"brief":       belpoortv1.Channel_CHANNEL_POST,
	})
	purposeWords = newVocabulary(belpoortv1.Purpose_PURPOSE_SERVICE.Descriptor(), map[string]belpoortv1.Purpose{
		"commercieel": belpoortv1.Purpose_PURPOSE_COMMERCIAL,
		"verkoop":     belpoortv1.Purpose_PURPOSE_COMMERCIAL,
		"ideëel":      belpoortv1.Purpose_PURPOSE_IDEALISTIC,
		"ideeel":      belpoortv1.Purpose_PURPOSE_IDEALISTIC,
		"charitatief": belpoortv1.Purpose_PURPOSE_IDEALISTIC,
		"goed doel":   belpoortv1.Purpose_PURPOSE_IDEALISTIC,
		"onderzoek":   belpoortv1.Purpose_PURPOSE_RESEARCH,
	})
	relationshipWords = newVocabulary(belpoortv1.RelationshipKind_RELATIONSHIP_KIND_SALE.Descriptor(), map[string]belpoortv1.RelationshipKind{
		"verkoop":             belpoortv1.RelationshipKind_RELATIONSHIP_KIND_SALE,
		"koop":                belpoortv1.RelationshipKind_RELATIONSHIP_KIND_SALE,
		"klant":               belpoortv1.RelationshipKind_RELATIONSHIP_KIND_SALE,
		"abonnement":          belpoortv1.RelationshipKind_RELATIONSHIP_KIND_SALE,
		"abonnee":             belpoortv1.RelationshipKind_RELATIONSHIP_KIND_SALE,
		"donatie":             belpoortv1.RelationshipKind_RELATIONSHIP_KIND_DONATION,
		"donateur":            belpoortv1.RelationshipKind_RELATIONSHIP_KIND_DONATION,
		"schenking":           belpoortv1.RelationshipKind_RELATIONSHIP_KIND_DONATION,
		"gift":                belpoortv1.RelationshipKind_RELATIONSHIP_KIND_DONATION,
		"vrijwilliger":        belpoortv1.RelationshipKind_RELATIONSHIP_KIND_VOLUNTEERING,
		"vrijwilligerswerk":   belpoortv1.RelationshipKind_RELATIONSHIP_KIND_VOLUNTEERING,
		"manifestatie":        belpoortv1.RelationshipKind_RELATIONSHIP_KIND_DEMONSTRATION,
		"demonstratie":        belpoortv1.RelationshipKind_RELATIONSHIP_KIND_DEMONSTRATION,
		"petitie":             belpoortv1.RelationshipKind_RELATIONSHIP_KIND_PETITION,
		"handtekening":        belpoortv1.RelationshipKind_RELATIONSHIP_KIND_PETITION,
		"lid":                 belpoortv1.RelationshipKind_RELATIONSHIP_KIND_MEMBERSHIP,
		"lidmaatschap":        belpoortv1.RelationshipKind_RELATIONSHIP_KIND_MEMBERSHIP,
		"offerte":             belpoortv1.RelationshipKind_RELATIONSHIP_KIND_QUOTE,
		"proefabonnement":     belpoortv1.RelationshipKind_RELATIONSHIP_KIND_FREE_TRIAL,
		"gratis proefperiode": belpoortv1.RelationshipKind_RELATIONSHIP_KIND_FREE_TRIAL,
		"download":            belpoortv1.RelationshipKind_RELATIONSHIP_KIND_FREE_DOWNLOAD,
	})
	numberSourceWords = newVocabulary(belpoortv1.NumberSource_NUMBER_SOURCE_SUBJECT.Descriptor(), map[string]belpoortv1.NumberSource{
		"betrokkene": belpoortv1.NumberSource_NUMBER_SOURCE_SUBJECT,
		"zelf":       belpoortv1.NumberSource_NUMBER_SOURCE_SUBJECT,
		"klant":      belpoortv1.NumberSource_NUMBER_SOURCE_SUBJECT,
		"verrijkt":   belpoortv1.NumberSource_NUMBER_SOURCE_ENRICHED,
		"gekocht":    belpoortv1.NumberSource_NUMBER_SOURCE_PURCHASED,
	})
	scopeWords = newVocabulary(belpoortv1.ObjectionScope_OBJECTION_SCOPE_GROUP.Descriptor(), map[string]belpoortv1.ObjectionScope{
		"organisatie": belpoortv1.ObjectionScope_OBJECTION_SCOPE_ORGANISATION,
		"alles":       belpoortv1.ObjectionScope_OBJECTION_SCOPE_ORGANISATION,
		"merk":        belpoortv1.ObjectionScope_OBJECTION_SCOPE_BRAND,
		"groep":       belpoortv1.ObjectionScope_OBJECTION_SCOPE_GROUP,
		"concern":     belpoortv1.ObjectionScope_OBJECTION_SCOPE_GROUP,
	})
	objectedByWords = newVocabulary(belpoortv1.ObjectedBy_OBJECTED_BY_SUBSCRIBER.Descriptor(), map[string]belpoortv1.ObjectedBy{
		"abonnee":    belpoortv1.ObjectedBy_OBJECTED_BY_SUBSCRIBER,
		"zelf":       belpoortv1.ObjectedBy_OBJECTED_BY_SUBSCRIBER,
		"huisgenoot": belpoortv1.ObjectedBy_OBJECTED_BY_HOUSEHOLD_MEMBER,
	})
	subscriberWords = newVocabulary(belpoortv1.SubscriberKind_SUBSCRIBER_KIND_UNKNOWN.Descriptor(), map[string]belpoortv1.SubscriberKind{
		"particulier":        belpoortv1.SubscriberKind_SUBSCRIBER_KIND_NATURAL_PERSON,
		"natuurlijk persoon": belpoortv1.SubscriberKind_SUBSCRIBER_KIND_NATURAL_PERSON,
		"eenmanszaak":        belpoortv1.SubscriberKind_SUBSCRIBER_KIND_SOLE_TRADER,
		"zzp":                belpoortv1.SubscriberKind_SUBSCRIBER_KIND_SOLE_TRADER,
		"vof":                belpoortv1.SubscriberKind_SUBSCRIBER_KIND_PARTNERSHIP,
		"cv":                 belpoortv1.SubscriberKind_SUBSCRIBER_KIND_PARTNERSHIP,
		"maatschap":          belpoortv1.SubscriberKind_SUBSCRIBER_KIND_PARTNERSHIP,
		"bv":                 belpoortv1.SubscriberKind_SUBSCRIBER_KIND_LEGAL_PERSON,
		"nv":                 belpoortv1.SubscriberKind_SUBSCRIBER_KIND_LEGAL_PERSON,
		"stichting":          belpoortv1.SubscriberKind_SUBSCRIBER_KIND_LEGAL_PERSON,
		"vereniging":         belpoortv1.SubscriberKind_SUBSCRIBER_KIND_LEGAL_PERSON,
		"cooperatie":         belpoortv1.SubscriberKind_SUBSCRIBER_KIND_LEGAL_PERSON,
		"coöperatie":         belpoortv1.SubscriberKind_SUBSCRIBER_KIND_LEGAL_PERSON,
		"rechtspersoon":      belpoortv1.SubscriberKind_SUBSCRIBER_KIND_LEGAL_PERSON,
		"b.v.":               belpoortv1.SubscriberKind_SUBSCRIBER_KIND_LEGAL_PERSON,
		"n.v.":               belpoortv1.SubscriberKind_SUBSCRIBER_KIND_LEGAL_PERSON,
		"v.o.f.":             belpoortv1.SubscriberKind_SUBSCRIBER_KIND_PARTNERSHIP,
		"bv i.o.":            belpoortv1.SubscriberKind_SUBSCRIBER_KIND_IN_FORMATION,
		"in oprichting":      belpoortv1.SubscriberKind_SUBSCRIBER_KIND_IN_FORMATION,
		"onbekend":           belpoortv1.SubscriberKind_SUBSCRIBER_KIND_UNKNOWN,
	})
)

func newVocabulary[E ~int32](api protoreflect.EnumDescriptor, dutch map[string]E) *vocabulary {
	v := &vocabulary{numbers: map[string]int32{}}
	values := api.Values()
	prefix := strings.TrimSuffix(string(values.ByNumber(0).Name()), "UNSPECIFIED")
	for i := range values.Len() {
		value := values.Get(i)
		if value.Number() == 0 {
			continue
		}
		word := strings.TrimPrefix(string(value.Name()), prefix)
		v.known = append(v.known, word)
		v.numbers[plainWord(word)] = int32(value.Number())
		v.numbers[plainWord(string(value.Name()))] = int32(value.Number())
	}
	for word, number := range dutch {
		v.numbers[plainWord(word)] = int32(number)
	}
	return v
}

func (v *vocabulary) read(s string) (int32, bool) {
	n, ok := v.numbers[plainWord(s)]
	return n, ok
}

func (v *vocabulary) problem() string {
	return "must be one of " + strings.Join(v.known, ", ") + ", or one of their Dutch words"
}

// plainWord is a word or a header without what people vary: case, and what stands between its parts.
func plainWord(s string) string {
	if isPlain(s) {
		return s
	}
	parts := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return strings.ContainsRune(" _-./\u00a0", r) })
	return strings.Join(parts, "_")
}

// isPlain spares most words the work: they are written as they are known.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < 'a' || s[i] > 'z' {
			return false
		}
	}
	return true
}

var (
	yesWords = []string{"ja", "j", "yes", "y", "true", "waar", "1"}
	noWords  = []string{"nee", "n", "no", "false", "onwaar", "0"}
)

func readYes(s string) (yes, ok bool) {
	word := plainWord(s)
	yes = slices.Contains(yesWords, word)
	return yes, yes || slices.Contains(noWords, word)
}

// durationWords are the units that a term may be written in, in Dutch.
var durationWords = map[string]string{
	"uur": "hours", "uren": "hours", "dag": "days", "dagen": "days", "maand": "months", "maanden": "months",
	"jaar": "years", "jaren": "years",
}

func englishDuration(s string) string {
	number, unit, _ := strings.Cut(strings.ToLower(strings.Join(strings.Fields(s), " ")), " ")
	if english, dutch := durationWords[unit]; dutch {
		unit = english
	}
	if unit == "" {
		return number
	}
	return number + " " + unit
}
