package callerid

import (
	"strings"

	"github.com/belpoort/belpoort/eligibility"
)

// Check says whether a number may be shown. Changes is exact: the first instant after At at which Reason differs.
func (r *Register) Check(q eligibility.CallerIDQuestion) eligibility.CallerIDFinding {
	entries, known := r.byNumber[q.Number]
	finding := eligibility.CallerIDFinding{Registered: known, Changes: eligibility.Never}
	switch {
	case q.Presentation != 0 && q.Presentation != eligibility.PresentationAllowed:
		finding.Reason = eligibility.CallerIDWithheld
	case !showable(&q):
		finding.Reason = eligibility.CallerIDRange
	default:
		finding.Reason, finding.Changes = standing(entries, &q)
	}
	return finding
}

// showable reports whether the number's range may be shown at all.
func showable(q *eligibility.CallerIDQuestion) bool {
	if q.Number == "" {
		return false
	}
	override, overridden := rangeOverride(q.Policy.CallerIDRanges, q.Number)
	if !q.Law.Governs(q.Number) {
		return q.Policy.CallerIDForeignAllowed && (!overridden || override)
	}
	plan, ok := q.Law.RangeOf(q.Number)
	if !ok {
		return false
	}
	if overridden {
		return override
	}
	return plan.CallerID == eligibility.RangeAllowed
}

// rangeOverride is what the policy's longest matching prefix says of the number.
func rangeOverride(overrides []eligibility.RangeOverride, number string) (allowed, found bool) {
	longest := -1
	for i := range overrides {
		o := &overrides[i]
		if len(o.Prefix) > longest && strings.HasPrefix(number, o.Prefix) {
			longest, allowed = len(o.Prefix), o.Allowed
		}
	}
	return allowed, longest >= 0
}

// span is a half-open period.
type span struct{ from, until eligibility.Instant }

func (s span) holds(at eligibility.Instant) bool { return s.from <= at && at < s.until }

// standing tells how the number stands for the organisation, and when that changes.
func standing(entries []entry, q *eligibility.CallerIDQuestion) (eligibility.Reason, eligibility.Instant) {
	inForce, reachable := coverage{at: q.At, next: eligibility.Never}, coverage{at: q.At, next: eligibility.Never}
	for i := range entries {
		if e := &entries[i]; e.mayShow(q.Organisation) {
			inForce.add(e.inForce())
			reachable.add(e.reachable(q.Policy))
		}
	}
	switch {
	case reachable.held:
		return 0, coveredUntil(entries, q, reachable, true)
	case inForce.held:
		return eligibility.CallerIDNotReachable, min(reachable.next, coveredUntil(entries, q, inForce, false))
	default:
		return eligibility.CallerIDNotRegistered, inForce.next
	}
}

// coverage adds spans up as seen from one instant.
type coverage struct {
	at    eligibility.Instant
	until eligibility.Instant // the latest end of the spans that hold at
	next  eligibility.Instant // the first beginning of a span after at
	spans int                 // how many there were
	held  bool
}

func (c *coverage) add(s span) {
	c.spans++
	switch {
	case s.holds(c.at):
		if !c.held || s.until > c.until {
			c.held, c.until = true, s.until
		}
	case s.from > c.at && s.from < s.until:
		c.next = min(c.next, s.from)
	}
}

// coveredUntil is the end of the unbroken time, from At on, in which some entry is reachable, or merely in force.
func coveredUntil(entries []entry, q *eligibility.CallerIDQuestion, seen coverage, reachable bool) eligibility.Instant {
	end := seen.until
	for grown := seen.spans > 1; grown; {
		grown = false
		for i := range entries {
			e := &entries[i]
			if !e.mayShow(q.Organisation) {
				continue
			}
			s := e.inForce()
			if reachable {
				s = e.reachable(q.Policy)
			}
			if s.holds(end) {
				end, grown = s.until, true
			}
		}
	}
	return end
}

func (e *entry) mayShow(organisation string) bool {
	return e.organisation == organisation || mutantOtherOrganisation
}

func (e *entry) inForce() span { return span{e.from, e.until} }

// usualTestAge is the law's default, so mostly what is asked; its end is worked out once.
var usualTestAge = eligibility.Duration{Months: 6}

// reachable is the part of the entry's period in which its number is known to be reachable; it may be empty.
func (e *entry) reachable(p *eligibility.Policy) span {
	if e.tested == neverTested || p.CallerIDPublishedRequired && !e.published {
		return span{}
	}
	stale := e.usuallyStale
	if p.CallerIDTestMaxAge != usualTestAge {
		stale = p.CallerIDTestMaxAge.After(e.tested)
	}
	if mutantStaleTest {
		stale = eligibility.Never
	}
	return span{max(e.from, e.tested), min(e.until, stale)}
}
