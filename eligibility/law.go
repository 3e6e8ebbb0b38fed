package eligibility

import (
	"slices"
	"strings"
)

// Law is the law of one jurisdiction as dated data.
type Law struct {
	Jurisdiction string // such as "NL"
	CallingCode  string // of the numbers it governs, with "+"
	Version      string // first 16 hexadecimal characters of the SHA-256 of its file
	Regimes      []Regime
	Plan         Plan
	EEA          map[string]bool // ISO 3166 alpha-2
	Defaults     Policy
	// Sources says on what each policy setting rests.
	Sources map[string]string
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
	// Source is where the regime was published.
	Source string
	// Relationships are the bases that rest on a relationship.
	Relationships []RelationshipBasis
}

// RelationshipBasis says who may call on the strength of which relationship.
type RelationshipBasis struct {
	Reason  Reason
	Article string
	Source  string
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
	Source   string
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

// Plan is a country's numbering plan, made by NewPlan.
type Plan struct {
	ranges []Range // the longest prefix first
	// first holds, for the two digits after the calling code, where in ranges those that may hold such a number stand.
	first [100][]uint16
	code  int // length of the calling code, with its "+"
}

// NewPlan orders the ranges of the numbers behind a calling code.
func NewPlan(callingCode string, ranges []Range) Plan {
	p := Plan{ranges: slices.Clone(ranges), code: len(callingCode)}
	slices.SortStableFunc(p.ranges, func(a, b Range) int { return len(b.Prefix) - len(a.Prefix) })
	for i, r := range p.ranges {
		for two := range p.first {
			digits := callingCode + string(rune('0'+two/10)) + string(rune('0'+two%10))
			if n := min(len(digits), len(r.Prefix)); digits[:n] == r.Prefix[:n] {
				p.first[two] = append(p.first[two], uint16(i))
			}
		}
	}
	return p
}

// Ranges lists the plan's ranges.
func (p *Plan) Ranges() []Range { return slices.Clone(p.ranges) }

// RangeOf is the longest range of the plan to which a number of the law's country belongs, when its length is right there.
func (l *Law) RangeOf(number string) (Range, bool) {
	p := &l.Plan
	if len(number) < p.code+2 {
		return Range{}, false
	}
	a, b := number[p.code]-'0', number[p.code+1]-'0'
	if a > 9 || b > 9 {
		return Range{}, false
	}
	for _, i := range p.first[a*10+b] {
		if r := &p.ranges[i]; strings.HasPrefix(number, r.Prefix) {
			return *r, r.Lengths&(1<<(len(number)-p.code)) != 0
		}
	}
	return Range{}, false
}

// Governs reports whether a canonical number lies under this law.
func (l *Law) Governs(number string) bool {
	return len(number) > len(l.CallingCode) && number[:len(l.CallingCode)] == l.CallingCode
}
