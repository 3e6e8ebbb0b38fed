package eligibility

// Law is the law of one jurisdiction as dated data.
type Law struct {
	Jurisdiction string // such as "NL"
	CallingCode  string // of the numbers it governs, with "+"
	Version      string // first 16 hexadecimal characters of the SHA-256 of its file
	Regimes      []Regime
	Ranges       []Range
	EEA          map[string]bool // ISO 3166 alpha-2
	Defaults     Policy
}

// Regime is the law between two instants. Regimes of one law do not overlap and stand in order of time.
type Regime struct {
	ID    string
	From  Instant
	Until Instant // exclusive; Never for the one without an end
	// Consent is the article of consent for live calls, ConsentAutomated for automated ones.
	Consent, ConsentAutomated string
	// Requested, Published, OutsideEEA and LegalPerson are the articles of those bases; "" where the regime lacks the basis.
	Requested, Published, OutsideEEA, LegalPerson string
	// CallerID is the article that forbids withholding the caller ID.
	CallerID string
	// Objection is the article of the right of objection.
	Objection string
	// Relationships are the bases that rest on a relationship.
	Relationships []RelationshipBasis
}

// RelationshipBasis says who may call on the strength of which relationship.
type RelationshipBasis struct {
	Reason  Reason
	Article string
	// Kinds are the kinds of relationship that count; ByPolicy takes them from the setting demonstration_counts.
	Kinds    RelationshipSet
	ByPolicy bool
	// Classes are the classes of organisation that may use it; none: every class.
	Classes []OrganisationClass
	// Licences are the licences one of which the organisation needs; none: no licence.
	Licences []Licence
	// IssuesPerYear is how often its periodical must appear; 0: no such condition.
	IssuesPerYear int
	// Similar: only for the organisation's own similar products. OwnPurpose: only for its own idealistic purposes.
	Similar, OwnPurpose bool
	// AutomatedByPolicy: automated calls are possible where the setting allow_donor_automated says so; else never.
	AutomatedByPolicy bool
	// WaivedBefore waives the offer of objection at collection for numbers collected earlier (Tw 20.7); 0: never.
	WaivedBefore Instant
	// WaiverByPolicy: only where the setting pre2021_collection_waiver says so.
	WaiverByPolicy bool
}

// RangeUse says what may be done with the numbers of a range.
type RangeUse uint8

// The uses of a range.
const (
	RangeInvalid RangeUse = iota
	RangeDenied
	RangeAllowed
)

// Range is a part of the numbering plan.
type Range struct {
	Prefix   string // canonical, with "+"
	Lengths  uint32 // bit n is set when n digits after the calling code are right
	Callee   RangeUse
	CallerID RangeUse
}

// regimeAt is the regime in force at an instant, nil where there is none, and the next instant at which another begins.
func (l *Law) regimeAt(at Instant) (*Regime, Instant) {
	for i := range l.Regimes {
		r := &l.Regimes[i]
		if at < r.From {
			return nil, r.From
		}
		if at < r.Until {
			return r, r.Until
		}
	}
	return nil, Never
}

// RangeOf is the longest range of the plan to which a number of the law's country belongs, when its length is right there.
func (l *Law) RangeOf(number string) (Range, bool) {
	best := -1
	for i := range l.Ranges {
		r := &l.Ranges[i]
		if len(number) >= len(r.Prefix) && number[:len(r.Prefix)] == r.Prefix && (best < 0 || len(r.Prefix) > len(l.Ranges[best].Prefix)) {
			best = i
		}
	}
	if best < 0 || l.Ranges[best].Lengths&(1<<(len(number)-len(l.CallingCode))) == 0 {
		return Range{}, false
	}
	return l.Ranges[best], true
}

// Governs reports whether a canonical number lies under this law.
func (l *Law) Governs(number string) bool {
	return len(number) > len(l.CallingCode) && number[:len(l.CallingCode)] == l.CallingCode
}
