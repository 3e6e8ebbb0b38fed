package eligibility

import "time"

// Policy holds the settings that are contested or self-regulated: the law's defaults, overridden by the catalogue and by
// the campaign. Each setting's meaning, default and source stand in the law file.
type Policy struct {
	RequireVerifiedConsent    bool
	ConsentMaxAge             Duration
	FirstCallWithin           Duration
	AllowBundledChannels      bool
	RelationshipTerm          Duration
	Pre2021CollectionWaiver   bool
	RequestTTL                Duration
	RequestUsedBy             OutcomeSet
	ObjectionScope            ObjectionScope
	ReconsentNever            bool // reconsent_after_objection: NEVER
	DemonstrationCounts       RelationshipSet
	InFormationIsNatural      bool
	PrivateLineIsNatural      bool
	LegalPersonObjection      bool
	AllowDonorAutomated       bool
	DigitalOnlyPublisher      bool
	Week                      Week
	EarlyClose                []EarlyClose
	Holidays                  []YearDay
	MourningDays              []Date
	KingsDayOpen              bool
	LiberationDayOpen         bool
	AppointmentExempt         bool // hours_exempt holds REQUESTED_APPOINTMENT
	MaxAttemptsPerDay         int
	MaxAttemptsPerCampaign    int
	AbandonedCooldown         Duration
	OfferDeadline             time.Duration // for reporting the offer of the right of objection
	OfferDebtLimit            Limit
	AbandonedLimit            Limit // zero: none
	CallerIDForeignAllowed    bool
	CallerIDRanges            []RangeOverride
	CallerIDTestMaxAge        Duration
	CallerIDPublishedRequired bool
	MinimumAge                int
	RequiredLists             []RequiredList
	StateBasis                bool

	roundTheClock bool // the hours never close
}

// OutcomeSet is a set of outcomes.
type OutcomeSet uint16

// Has reports whether o is in the set.
func (s OutcomeSet) Has(o Outcome) bool { return s&(1<<o) != 0 }

// With is the set with o added.
func (s OutcomeSet) With(o Outcome) OutcomeSet { return s | 1<<o }

// RelationshipSet is a set of kinds of relationship.
type RelationshipSet uint16

// Has reports whether k is in the set.
func (s RelationshipSet) Has(k RelationshipKind) bool { return s&(1<<k) != 0 }

// With is the set with k added.
func (s RelationshipSet) With(k RelationshipKind) RelationshipSet { return s | 1<<k }

// Week holds the opening intervals of each weekday, Sunday first, as time.Weekday counts.
type Week [7][]Interval

// Interval is a half-open part of a day, in minutes after midnight; Until 1440 is the next midnight.
type Interval struct{ From, Until int }

// EarlyClose shortens a day.
type EarlyClose struct {
	Day   YearDay
	Until int // minutes after midnight
}

// RangeOverride allows or denies a number range as caller ID, against the law file's default.
type RangeOverride struct {
	Prefix  string // E.164 with "+"
	Allowed bool
}

// Limit is a share and the number from which it counts. The zero value is no limit.
type Limit struct {
	Percent float64 // 0 to 100
	AtLeast int     // from 1
}

// RequiredList is a list that a campaign must respect.
type RequiredList struct {
	Name   string
	MaxAge Duration // of our copy; zero: any age
}
