package eligibility

import "time"

// Fact is one immutable record about a callee: exactly one of its kinds is set. A zero time in a fact means "absent".
type Fact struct {
	// Position is the fact's number in the ledger; 0 where it came from no ledger.
	Position uint64

	Subscriber   *Subscriber
	Consent      *Consent
	Withdrawal   *Withdrawal
	Relationship *Relationship
	CallRequest  *CallRequest
	Objection    *Objection
	CallReport   *CallReport
	ListEntry    *ListEntry
	// Offer changes no decision.
	ObjectionOffer *ObjectionOffer

	Erasure            *Erasure
	CorrectionProposed *CorrectionProposed
	Correction         *Correction
	// Disposal changes no decision.
	Disposal *Disposal
}

// Subscriber says who the subscriber of a number is. The latest Since at or before the dial instant counts.
type Subscriber struct {
	Kind                    SubscriberKind
	PrivateLine             bool
	PublishedForUnsolicited bool   // Tw 11.7(3)(a)
	EstablishedIn           string // ISO 3166 alpha-2; "" means NL
	Born                    Date   // zero: unknown
	Since                   time.Time
}

// Evidence points at evidence kept elsewhere.
type Evidence struct {
	URI    string
	SHA256 string // 64 hexadecimal characters
}

// Verification says that the number's user confirmed a consent.
type Verification struct {
	Method VerificationMethod
	At     time.Time
}

// Consent says that a person agreed to be called.
type Consent struct {
	ID              string
	Organisations   []string
	Channels        []Channel // none: Phone
	Products        []string
	Purposes        []Purpose
	Person          string
	GivenAt         time.Time
	Method          ConsentMethod
	Preticked       bool // no active act
	Bundled         bool // one tick for several channels
	OwnInitiative   bool
	Source          string
	Wording         string
	Evidence        *Evidence
	Verified        *Verification
	ExpiresAt       time.Time
	FirstCallWithin Duration // zero: the wording names no term
}

// Withdrawal ends the consent ConsentID for all its organisations, or every consent to Organisation given up to At.
type Withdrawal struct {
	ConsentID    string
	Organisation string
	At           time.Time
	Via          Via
}

// Relationship says what a person and an organisation have, or had, to do with each other.
type Relationship struct {
	Kind                         RelationshipKind
	Organisation                 string
	Product                      string
	StartedAt                    time.Time // when the number was collected
	EndedAt                      time.Time // absent: still running
	NumberSource                 NumberSource
	NoObjectionOfferAtCollection bool
}

// CallRequest says that a person asked to be called, once.
type CallRequest struct {
	Organisation string
	Product      string
	RequestedAt  time.Time
	CallAt       time.Time // the appointed time; absent: none
	Source       string
	Evidence     *Evidence
}

// Objection says that a person objected [recht van verzet].
type Objection struct {
	Organisation string
	At           time.Time
	Via          Via
	Scope        ObjectionScope
	Product      string // ScopeProduct only
	By           ObjectedBy
	Receipt      string
	DecisionID   string // of the call in which the person objected, 32 hexadecimal characters; "" where it is not known
	OwnWords     string // with which the person narrowed it
}

// CallReport says what became of an earlier call.
type CallReport struct {
	Campaign         string
	At               time.Time
	Outcome          Outcome
	ObjectionOffered bool
	DecisionID       string // of the decision that allowed it, 32 hexadecimal characters; "" where it is not known
	EndedAt          time.Time
	Late             bool // reported later than reports are due
	Agent            string
	Recording        string // a reference
	OfferHow         OfferHow
	OfferResult      OfferResult
}

// ObjectionOffer says that the right of objection was offered in a call. It pays what the call owed, and changes no decision.
type ObjectionOffer struct {
	DecisionID   string // of the call, 32 hexadecimal characters; "" where only the number was known
	Organisation string
	Campaign     string
	At           time.Time
	How          OfferHow
	Recording    string // a reference
	Result       OfferResult
	Menu         string
	Digit        string
}

// ListEntry says how a number stood on a list when our copy of it was loaded.
type ListEntry struct {
	List     string
	Since    time.Time // absent: the number does not stand on it
	LoadedAt time.Time // absent: unknown, so too old
}

// Erasure says that the callee was erased (AVG 17): what they agreed to, were or asked up to At is no basis, whoever says
// so again. What restrains from calling them stays.
type Erasure struct {
	At     time.Time
	Reason string
	Client string
	Born   Date // of a person too young for some campaign; zero: none
}

// Disposal says that facts were kept long enough, and that what they said was destroyed when it had come to decide nothing.
type Disposal struct {
	At        time.Time
	Positions []uint64 // of the facts, in order
	Number    bool     // the sealed number went too
	Run       uint64   // the position of the run that did it
}

// CorrectionProposed says that somebody holds an objection for a mistake. It changes nothing.
type CorrectionProposed struct {
	Objection uint64 // its position
	At        time.Time
	Reason    string
	Client    string
}

// Correction says that an objection was recorded by mistake: from At on it does not stand.
type Correction struct {
	Objection  uint64 // its position
	Proposal   uint64 // the position of the proposal
	At         time.Time
	Reason     string
	ProposedBy string
	ApprovedBy string
}
