package eligibility

import "time"

// Organisation is the advertiser: the legal entity in whose name calls are made.
type Organisation struct {
	ID            string
	LegalName     string
	Class         OrganisationClass
	Licence       Licence // GamblingLicensee only
	IssuesPerYear int     // Publisher only
	Brand         string
	Group         string
	DigitalOnly   bool // Publisher only
}

// Campaign is what a dialer names in a check, with its policy resolved: law's defaults, the catalogue's settings, its own.
type Campaign struct {
	ID           string
	Organisation *Organisation
	Purpose      Purpose
	Product      string
	Mode         Mode
	Dialing      Dialing
	Brand        string      // "" means the organisation's
	Suspended    bool        // by the catalogue
	Suspension   *Suspension // by what happened in it, or by an officer; nil: not
	Policy       *Policy
}

// Suspension stops a campaign that its catalogue lets run.
type Suspension struct {
	Cause    SuspensionCause
	Reason   string // an officer's words, or the figures
	By       string // the client that asked; "" where nobody did
	Since    time.Time
	Position uint64 // of the suspension in the ledger
}

// stopped reports whether nobody may be called in the campaign.
func (c *Campaign) stopped() bool { return c.Suspended || c.Suspension != nil }

// brand is the brand under which the campaign calls.
func (c *Campaign) brand() string {
	if c.Brand != "" {
		return c.Brand
	}
	return c.Organisation.Brand
}

// Catalogue is who calls, for what, under which numbers: immutable, replaced as a whole.
type Catalogue struct {
	Organisations map[string]*Organisation
	Campaigns     map[string]*Campaign
	// Families maps a product to its families; two products are similar when they share one.
	Families map[string][]string
	// CallerIDs answers for the numbers that may be shown.
	CallerIDs CallerIDRegister
	// Position is the catalogue's place in the ledger; 0 where it came from none.
	Position uint64
}

// Similar reports whether two products are the same or of one family.
func (c *Catalogue) Similar(a, b string) bool {
	if a == b {
		return a != ""
	}
	for _, fa := range c.Families[a] {
		for _, fb := range c.Families[b] {
			if fa == fb {
				return true
			}
		}
	}
	return false
}

// CallerIDQuestion asks whether a number may be shown.
type CallerIDQuestion struct {
	Number       string // canonical E.164; "" when malformed
	Presentation Presentation
	Organisation string
	Policy       *Policy
	Law          *Law
	At           Instant
}

// CallerIDFinding answers a CallerIDQuestion.
type CallerIDFinding struct {
	// Reason is 0 when the number may be shown, else the first of CallerIDWithheld, CallerIDRange,
	// CallerIDNotRegistered and CallerIDNotReachable that applies.
	Reason Reason
	// Changes is the next instant at which the finding could change by time alone; Never when it cannot.
	Changes Instant
	// Registered tells that the register knows the number for anybody.
	Registered bool
}

// CallerIDRegister knows which numbers may be shown by whom. It must be immutable.
type CallerIDRegister interface {
	Check(CallerIDQuestion) CallerIDFinding
}
