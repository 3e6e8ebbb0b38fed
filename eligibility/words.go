package eligibility

import "fmt"

// The numbers of these words are those of the API's enums, so that a word means the same on the wire, in the ledger and
// here; a test in the room that translates between them holds the two together.

// Verdict says whether a call may be dialed. The zero value means "do not dial", as does every value but Allow.
type Verdict uint8

// The verdicts.
const (
	Allow Verdict = 1
	Deny  Verdict = 2
	Defer Verdict = 3
)

// Reason says why a call is allowed, refused or deferred. Values below CalleeInvalid are reasons to allow.
type Reason uint8

// The reasons, in the order in which they head an answer.
const (
	OKService                    Reason = 1
	OKResearch                   Reason = 2
	OKConsent                    Reason = 3
	OKRequested                  Reason = 4
	OKPublished                  Reason = 5
	OKOutsideEEA                 Reason = 6
	OKDonation                   Reason = 7
	OKVolunteer                  Reason = 8
	OKDemonstration              Reason = 9
	OKPublisher                  Reason = 10
	OKLottery                    Reason = 11
	OKCustomer                   Reason = 12
	OKLegalPerson                Reason = 13
	CalleeInvalid                Reason = 20
	CalleeRange                  Reason = 21
	JurisdictionUnsupported      Reason = 22
	CallerIDWithheld             Reason = 23
	CallerIDRange                Reason = 24
	CallerIDNotRegistered        Reason = 25
	CallerIDNotReachable         Reason = 26
	Objected                     Reason = 27
	Minor                        Reason = 28
	ListHit                      Reason = 29
	ListStale                    Reason = 30
	Withdrawn                    Reason = 31
	ConsentExpired               Reason = 32
	ConsentStale                 Reason = 33
	ConsentUnverified            Reason = 34
	EvidenceMissing              Reason = 35
	ConsentScope                 Reason = 36
	ConsentOrganisation          Reason = 37
	ConsentChannel               Reason = 38
	RequestUsed                  Reason = 39
	RequestExpired               Reason = 40
	TermExpired                  Reason = 41
	NumberEnriched               Reason = 42
	NoObjectionOfferAtCollection Reason = 43
	Dissimilar                   Reason = 44
	EntityMismatch               Reason = 45
	AutomatedWithoutConsent      Reason = 46
	NoBasis                      Reason = 47
	Attempts                     Reason = 48
	AbandonedCooldown            Reason = 49
	CampaignSuspended            Reason = 50
	Hours                        Reason = 51
	Holiday                      Reason = 52
	Unavailable                  Reason = 53
)

// Obligation is a duty that comes with an allowed call.
type Obligation uint8

// The obligations.
const (
	OfferObjection Obligation = 1
	StateIdentity  Obligation = 2
	StateBasis     Obligation = 3
)

// Presentation says whether the caller ID is shown to the callee.
type Presentation uint8

// The presentations. The zero value counts as PresentationAllowed.
const (
	PresentationAllowed     Presentation = 1
	PresentationRestricted  Presentation = 2
	PresentationUnavailable Presentation = 3
)

// SubscriberKind is the legal form of a subscriber. The zero value counts as UnknownKind.
type SubscriberKind uint8

// The legal forms.
const (
	NaturalPerson SubscriberKind = 1
	SoleTrader    SubscriberKind = 2
	Partnership   SubscriberKind = 3
	LegalPerson   SubscriberKind = 4
	InFormation   SubscriberKind = 5
	UnknownKind   SubscriberKind = 6
)

// Channel is a channel of communication.
type Channel uint8

// The channels.
const (
	Phone Channel = 1
	Email Channel = 2
	SMS   Channel = 3
	Post  Channel = 4
)

// ConsentMethod says how a consent was given. The zero value: unknown, so the consent cannot be shown.
type ConsentMethod uint8

// The ways of giving consent.
const (
	WebForm        ConsentMethod = 1
	Voice          ConsentMethod = 2
	Paper          ConsentMethod = 3
	App            ConsentMethod = 4
	ConfirmedEmail ConsentMethod = 5
	ConfirmedSMS   ConsentMethod = 6
)

// VerificationMethod says how it was verified that the number's user gave a consent.
type VerificationMethod uint8

// The ways of verifying.
const (
	VerifiedBySMS   VerificationMethod = 1
	VerifiedByEmail VerificationMethod = 2
	VerifiedByApp   VerificationMethod = 3
	VerifiedByPhone VerificationMethod = 4
)

// RelationshipKind is the kind of relationship between a person and an organisation.
type RelationshipKind uint8

// The kinds of relationship.
const (
	Sale          RelationshipKind = 1
	Donation      RelationshipKind = 2
	Volunteering  RelationshipKind = 3
	Demonstration RelationshipKind = 4
	Concert       RelationshipKind = 5
	Petition      RelationshipKind = 6
	Webinar       RelationshipKind = 7
	Membership    RelationshipKind = 8
	Quote         RelationshipKind = 9
	FreeTrial     RelationshipKind = 10
	FreeDownload  RelationshipKind = 11
)

// NumberSource says where the number in a relationship came from. The zero value counts as FromSubject.
type NumberSource uint8

// The sources of a number.
const (
	FromSubject NumberSource = 1
	Enriched    NumberSource = 2
	Purchased   NumberSource = 3
)

// Via is the way by which an objection or withdrawal came in.
type Via uint8

// The ways.
const (
	ViaIVR          Via = 1
	ViaAgent        Via = 2
	ViaCallbackLine Via = 3
	ViaWeb          Via = 4
	ViaEmail        Via = 5
	ViaPost         Via = 6
	ViaRegulator    Via = 7
)

// ObjectionScope says how far an objection reaches, from narrow to wide. The zero value counts as ScopeOrganisation.
type ObjectionScope uint8

// The scopes.
const (
	ScopeProduct      ObjectionScope = 1
	ScopeOrganisation ObjectionScope = 2
	ScopeBrand        ObjectionScope = 3
	ScopeGroup        ObjectionScope = 4
)

// ObjectedBy says who objected; all are as binding. The zero value counts as BySubscriber.
type ObjectedBy uint8

// Who may object.
const (
	BySubscriber      ObjectedBy = 1
	ByHouseholdMember ObjectedBy = 2
)

// Outcome says what became of a call.
type Outcome uint8

// The outcomes.
const (
	Answered  Outcome = 1
	Voicemail Outcome = 2
	NoAnswer  Outcome = 3
	Busy      Outcome = 4
	Abandoned Outcome = 5
	Failed    Outcome = 6
)

// OfferHow says who offered the right of objection in a call. The zero value: not told.
type OfferHow uint8

// Who offered it.
const (
	ByAgentAndIVR OfferHow = 1
	ByAgent       OfferHow = 2
	ByIVR         OfferHow = 3
)

// OfferResult says what came of an offer. The zero value: not told, which is never "did not object".
type OfferResult uint8

// What came of it.
const (
	OfferObjected    OfferResult = 1
	OfferNotObjected OfferResult = 2
	OfferNoInput     OfferResult = 3
	OfferHungUp      OfferResult = 4
)

// OrganisationClass says what an organisation is under Tw 11.7.
type OrganisationClass uint8

// The classes.
const (
	Commercial       OrganisationClass = 1
	Idealistic       OrganisationClass = 2
	Publisher        OrganisationClass = 3
	GamblingLicensee OrganisationClass = 4
)

// Licence is a licence under the Wet op de kansspelen. The zero value: none.
type Licence uint8

// The licences.
const (
	WOK3   Licence = 1
	WOK9   Licence = 2
	WOK27B Licence = 3
	WOK31A Licence = 4
)

// Purpose says what a call is for.
type Purpose uint8

// The purposes.
const (
	PurposeCommercial Purpose = 1
	PurposeIdealistic Purpose = 2
	PurposeService    Purpose = 3
	PurposeResearch   Purpose = 4
)

// Mode says who speaks.
type Mode uint8

// The modes.
const (
	Human     Mode = 1
	Automated Mode = 2
)

// Dialing says how calls are placed.
type Dialing uint8

// The ways of dialing.
const (
	Predictive Dialing = 1
	Preview    Dialing = 2
)

// SuspensionCause says why a campaign is suspended. The zero value: it is not.
type SuspensionCause uint8

// The causes of a suspension.
const (
	OfferDebt      SuspensionCause = 1 // too many offers of the right of objection are overdue
	AbandonedShare SuspensionCause = 2 // too many calls were abandoned
	Officer        SuspensionCause = 3 // somebody asked for it
)

var (
	verdictWords = []string{"UNSPECIFIED", "ALLOW", "DENY", "DEFER"}
	reasonWords  = []string{
		0: "UNSPECIFIED", OKService: "OK_SERVICE", OKResearch: "OK_RESEARCH", OKConsent: "OK_CONSENT",
		OKRequested: "OK_REQUESTED", OKPublished: "OK_PUBLISHED", OKOutsideEEA: "OK_OUTSIDE_EEA",
		OKDonation: "OK_DONATION", OKVolunteer: "OK_VOLUNTEER", OKDemonstration: "OK_DEMONSTRATION",
		OKPublisher: "OK_PUBLISHER", OKLottery: "OK_LOTTERY", OKCustomer: "OK_CUSTOMER", OKLegalPerson: "OK_LEGAL_PERSON",
		CalleeInvalid: "CALLEE_INVALID", CalleeRange: "CALLEE_RANGE", JurisdictionUnsupported: "JURISDICTION_UNSUPPORTED",
		CallerIDWithheld: "CALLER_ID_WITHHELD", CallerIDRange: "CALLER_ID_RANGE",
		CallerIDNotRegistered: "CALLER_ID_NOT_REGISTERED", CallerIDNotReachable: "CALLER_ID_NOT_REACHABLE",
		Objected: "OBJECTED", Minor: "MINOR", ListHit: "LIST_HIT", ListStale: "LIST_STALE", Withdrawn: "WITHDRAWN",
		ConsentExpired: "CONSENT_EXPIRED", ConsentStale: "CONSENT_STALE", ConsentUnverified: "CONSENT_UNVERIFIED",
		EvidenceMissing: "EVIDENCE_MISSING", ConsentScope: "CONSENT_SCOPE", ConsentOrganisation: "CONSENT_ORGANISATION",
		ConsentChannel: "CONSENT_CHANNEL", RequestUsed: "REQUEST_USED", RequestExpired: "REQUEST_EXPIRED",
		TermExpired: "TERM_EXPIRED", NumberEnriched: "NUMBER_ENRICHED",
		NoObjectionOfferAtCollection: "NO_OBJECTION_OFFER_AT_COLLECTION", Dissimilar: "DISSIMILAR",
		EntityMismatch: "ENTITY_MISMATCH", AutomatedWithoutConsent: "AUTOMATED_WITHOUT_CONSENT", NoBasis: "NO_BASIS",
		Attempts: "ATTEMPTS", AbandonedCooldown: "ABANDONED_COOLDOWN", CampaignSuspended: "CAMPAIGN_SUSPENDED",
		Hours: "HOURS", Holiday: "HOLIDAY", Unavailable: "UNAVAILABLE",
	}
	obligationWords         = []string{"UNSPECIFIED", "OFFER_OBJECTION", "STATE_IDENTITY", "STATE_BASIS"}
	presentationWords       = []string{"UNSPECIFIED", "ALLOWED", "RESTRICTED", "UNAVAILABLE"}
	subscriberKindWords     = []string{"UNSPECIFIED", "NATURAL_PERSON", "SOLE_TRADER", "PARTNERSHIP", "LEGAL_PERSON", "IN_FORMATION", "UNKNOWN"}
	channelWords            = []string{"UNSPECIFIED", "PHONE", "EMAIL", "SMS", "POST"}
	consentMethodWords      = []string{"UNSPECIFIED", "WEB_FORM", "VOICE", "PAPER", "APP", "CONFIRMED_EMAIL", "CONFIRMED_SMS"}
	verificationMethodWords = []string{"UNSPECIFIED", "SMS", "EMAIL", "APP", "PHONE"}
	relationshipKindWords   = []string{"UNSPECIFIED", "SALE", "DONATION", "VOLUNTEERING", "DEMONSTRATION", "CONCERT", "PETITION", "WEBINAR", "MEMBERSHIP", "QUOTE", "FREE_TRIAL", "FREE_DOWNLOAD"}
	numberSourceWords       = []string{"UNSPECIFIED", "SUBJECT", "ENRICHED", "PURCHASED"}
	viaWords                = []string{"UNSPECIFIED", "IVR", "AGENT", "CALLBACK_LINE", "WEB", "EMAIL", "POST", "REGULATOR"}
	objectionScopeWords     = []string{"UNSPECIFIED", "PRODUCT", "ORGANISATION", "BRAND", "GROUP"}
	objectedByWords         = []string{"UNSPECIFIED", "SUBSCRIBER", "HOUSEHOLD_MEMBER"}
	outcomeWords            = []string{"UNSPECIFIED", "ANSWERED", "VOICEMAIL", "NO_ANSWER", "BUSY", "ABANDONED", "FAILED"}
	offerHowWords           = []string{"UNSPECIFIED", "AGENT_AND_IVR", "AGENT", "IVR"}
	offerResultWords        = []string{"UNSPECIFIED", "OBJECTED", "NOT_OBJECTED", "NO_INPUT", "HUNG_UP"}
	classWords              = []string{"UNSPECIFIED", "COMMERCIAL", "IDEALISTIC", "PUBLISHER", "GAMBLING_LICENSEE"}
	licenceWords            = []string{"UNSPECIFIED", "WOK_3", "WOK_9", "WOK_27B", "WOK_31A"}
	purposeWords            = []string{"UNSPECIFIED", "COMMERCIAL", "IDEALISTIC", "SERVICE", "RESEARCH"}
	modeWords               = []string{"UNSPECIFIED", "HUMAN", "AUTOMATED"}
	dialingWords            = []string{"UNSPECIFIED", "PREDICTIVE", "PREVIEW"}
	suspensionCauseWords    = []string{"UNSPECIFIED", "OFFER_DEBT", "ABANDONED_SHARE", "OFFICER"}
)

func (v Verdict) String() string            { return wordOf(verdictWords, v) }
func (r Reason) String() string             { return wordOf(reasonWords, r) }
func (o Obligation) String() string         { return wordOf(obligationWords, o) }
func (p Presentation) String() string       { return wordOf(presentationWords, p) }
func (k SubscriberKind) String() string     { return wordOf(subscriberKindWords, k) }
func (c Channel) String() string            { return wordOf(channelWords, c) }
func (m ConsentMethod) String() string      { return wordOf(consentMethodWords, m) }
func (m VerificationMethod) String() string { return wordOf(verificationMethodWords, m) }
func (k RelationshipKind) String() string   { return wordOf(relationshipKindWords, k) }
func (s NumberSource) String() string       { return wordOf(numberSourceWords, s) }
func (v Via) String() string                { return wordOf(viaWords, v) }
func (s ObjectionScope) String() string     { return wordOf(objectionScopeWords, s) }
func (b ObjectedBy) String() string         { return wordOf(objectedByWords, b) }
func (o Outcome) String() string            { return wordOf(outcomeWords, o) }
func (h OfferHow) String() string           { return wordOf(offerHowWords, h) }
func (r OfferResult) String() string        { return wordOf(offerResultWords, r) }
func (c OrganisationClass) String() string  { return wordOf(classWords, c) }
func (l Licence) String() string            { return wordOf(licenceWords, l) }
func (p Purpose) String() string            { return wordOf(purposeWords, p) }
func (m Mode) String() string               { return wordOf(modeWords, m) }
func (d Dialing) String() string            { return wordOf(dialingWords, d) }
func (c SuspensionCause) String() string    { return wordOf(suspensionCauseWords, c) }

// Word is any of the enumerated words of this room.
type Word interface {
	Verdict | Reason | Obligation | Presentation | SubscriberKind | Channel | ConsentMethod | VerificationMethod |
		RelationshipKind | NumberSource | Via | ObjectionScope | ObjectedBy | Outcome | OfferHow | OfferResult |
		OrganisationClass | Licence | Purpose | Mode | Dialing | SuspensionCause
}

// ParseWord reads a word as FORMAT writes it, such as "OWN_INITIATIVE" or "SALE". The error lists the words that exist.
func ParseWord[W Word](s string) (W, error) {
	words := wordsOf[W]()
	for i, w := range words {
		if i > 0 && w != "" && w == s {
			return W(i), nil
		}
	}
	return 0, fmt.Errorf("unknown word %q, want one of %v", s, knownWords(words))
}

// Known reports whether w is one of the words; the zero value is not.
func Known[W Word](w W) bool {
	words := wordsOf[W]()
	return w > 0 && int(w) < len(words) && words[w] != ""
}

func knownWords(words []string) []string {
	var known []string
	for _, w := range words[1:] {
		if w != "" {
			known = append(known, w)
		}
	}
	return known
}

func wordOf[W ~uint8](words []string, w W) string {
	if int(w) < len(words) && words[w] != "" {
		return words[w]
	}
	return fmt.Sprintf("UNKNOWN_%d", w)
}

func wordsOf[W Word]() []string {
	var w W
	switch any(w).(type) {
	case Verdict:
		return verdictWords
	case Reason:
		return reasonWords
	case Obligation:
		return obligationWords
	case Presentation:
		return presentationWords
	case SubscriberKind:
		return subscriberKindWords
	case Channel:
		return channelWords
	case ConsentMethod:
		return consentMethodWords
	case VerificationMethod:
		return verificationMethodWords
	case RelationshipKind:
		return relationshipKindWords
	case NumberSource:
		return numberSourceWords
	case Via:
		return viaWords
	case ObjectionScope:
		return objectionScopeWords
	case ObjectedBy:
		return objectedByWords
	case Outcome:
		return outcomeWords
	case OfferHow:
		return offerHowWords
	case OfferResult:
		return offerResultWords
	case OrganisationClass:
		return classWords
	case Licence:
		return licenceWords
	case Purpose:
		return purposeWords
	case Mode:
		return modeWords
	case SuspensionCause:
		return suspensionCauseWords
	default:
		return dialingWords
	}
}
