package eligibility

import (
	"math/bits"
	"time"
)

// Call is the call about to be made.
type Call struct {
	Callee       string // canonical E.164; "" when it is no number that can be called
	CallerID     string // canonical E.164; "" when missing or malformed
	Presentation Presentation
	Campaign     *Campaign
	Person       string  // the expected person; "" is not compared
	Mode         Mode    // 0: the campaign's
	Dialing      Dialing // 0: the campaign's
	// Unreported are the callee's calls that were allowed and of which no report is among the facts yet: they count as attempts.
	Unreported []Attempt
}

// Attempt is a call that was allowed, whatever became of it.
type Attempt struct {
	Campaign string
	At       time.Time
}

// mode is who speaks in this call.
func (c *Call) mode() Mode {
	if c.Mode != 0 {
		return c.Mode
	}
	return c.Campaign.Mode
}

// dialing is how this call is placed.
func (c *Call) dialing() Dialing {
	if c.Dialing != 0 {
		return c.Dialing
	}
	return c.Campaign.Dialing
}

// ReasonSet is a set of reasons.
type ReasonSet uint64

// Has reports whether r is in the set.
func (s ReasonSet) Has(r Reason) bool { return s&(1<<r) != 0 }

// With is the set with r added.
func (s ReasonSet) With(r Reason) ReasonSet { return s | 1<<r }

// First is the reason that heads an answer; 0 for the empty set. Reasons are numbered in that order.
func (s ReasonSet) First() Reason {
	if s == 0 {
		return 0
	}
	return Reason(bits.TrailingZeros64(uint64(s)))
}

// List is the set's reasons, the headline first.
func (s ReasonSet) List() []Reason {
	list := make([]Reason, 0, bits.OnesCount64(uint64(s)))
	for ; s != 0; s &= s - 1 {
		list = append(list, s.First())
	}
	return list
}

// ObligationSet is a set of obligations.
type ObligationSet uint8

// Has reports whether o is in the set.
func (s ObligationSet) Has(o Obligation) bool { return s&(1<<o) != 0 }

// List is the set's obligations.
func (s ObligationSet) List() []Obligation {
	var list []Obligation
	for o := OfferObjection; o <= StateBasis; o++ {
		if s.Has(o) {
			list = append(list, o)
		}
	}
	return list
}

// Basis is the legal basis [grondslag] of an allowed call.
type Basis struct {
	Kind     Reason  // one of the reasons to allow
	Article  string  // in the numbering in force; "" where Tw 11.7 does not apply
	Position uint64  // of the fact that is the evidence; 0 where there is none
	Since    Instant // always where it has no beginning
	Until    Instant // exclusive; Never where it has no end
}

// SinceTime is when the basis began; the zero time where it has no beginning.
func (b Basis) SinceTime() time.Time { return b.Since.Time() }

// UntilTime is when the basis ends; the zero time where it has no end.
func (b Basis) UntilTime() time.Time { return b.Until.Time() }

// Decision is the answer for one call at one instant.
type Decision struct {
	Verdict     Verdict
	Reason      Reason
	Reasons     ReasonSet
	Basis       Basis // zero unless Verdict is Allow
	Obligations ObligationSet
	// ValidUntil is the next instant at which verdict or headline changes by time alone; the zero time: never.
	ValidUntil time.Time
	// RetryTime is the next opening of the hours, for Defer; the zero time where they never open.
	RetryTime time.Time
	// Regime is the regime applied; "" where none is in force.
	Regime string
	// CallerIDKnown tells that the register knows the caller ID, so it may be written down.
	CallerIDKnown bool
}

// Step is one rule tried, for people.
type Step struct {
	Rule     string // such as "caller-id"
	Passed   bool
	Reason   Reason // 0 where the rule passed without one
	Inputs   string // never a telephone number
	Article  string // or the policy setting that decides
	Source   string // on what the rule rests
	Position uint64 // of the fact looked at; 0: none
}
