package eligibility

import (
	"fmt"
	"strings"
	"time"
)

// Explain decides as Decide does, by the same code, and shows every rule tried, in order.
func Explain(e *Eligibility, call *Call, cat *Catalogue, law *Law, at time.Time) (Decision, []Step) {
	q := question{e: e, call: call, cat: cat, law: law}
	t := &trace{}
	a := q.evaluate(Instant(at.UnixNano()), t, nil)
	return q.decision(&a), t.steps
}

// trace collects the rules tried; the methods below do nothing where there is none.
type trace struct{ steps []Step }

func (a *answer) step(rule string, reason Reason, article string, position uint64, format string, args ...any) {
	passed := reason == 0 || reason < CalleeInvalid
	a.trace.steps = append(a.trace.steps, Step{
		Rule: rule, Passed: passed, Reason: reason, Inputs: fmt.Sprintf(format, args...), Article: article, Position: position,
	})
}

func (a *answer) traceCallee(q *question, found Reason) {
	if a.trace == nil {
		return
	}
	inputs := "no number that can be called"
	if r, ok := q.law.RangeOf(q.call.Callee); ok {
		inputs = "range " + r.Prefix
	} else if q.call.Callee != "" && !q.law.Governs(q.call.Callee) {
		inputs = "a number of another country"
	}
	a.step("callee", found, "Nummerplan telefoon- en ISDN-diensten", 0, "%s", inputs)
}

func (a *answer) traceRegime() {
	if a.trace == nil {
		return
	}
	if a.regime == nil {
		a.step("regime", JurisdictionUnsupported, "", 0, "no regime is loaded for %s", stamp(a.at))
		return
	}
	a.step("regime", 0, "", 0, "%s, dial instant %s", a.regime.ID, stamp(a.at))
}

func (a *answer) traceCallerID(f CallerIDFinding) {
	if a.trace == nil {
		return
	}
	known := "not in the register"
	if f.Registered {
		known = "in the register"
	}
	a.step("caller-id", f.Reason, a.regime.CallerID+"; CTM 2024", 0, "%s, %s", known, changing(f.Changes))
}

func (a *answer) traceObjection(q *question, ignored bool) {
	if a.trace == nil {
		return
	}
	switch {
	case ignored:
		a.step("objection", 0, a.regime.Objection, 0, "objections do not reach this call")
	case a.objected != always:
		a.step("objection", Objected, a.regime.Objection, a.objectionPosition, "objected at %s", stamp(a.objected))
	default:
		a.step("objection", 0, a.regime.Objection, 0, "%d objections held, none reaches this call", len(q.e.objections))
	}
}

func (a *answer) traceAge(p *Policy, found Reason) {
	if a.trace == nil {
		return
	}
	a.step("age", found, "CTM", 0, "minimum age %d", p.MinimumAge)
}

func (a *answer) traceList(l *RequiredList, hit, stale bool) {
	if a.trace == nil {
		return
	}
	found := Reason(0)
	if stale {
		found = ListStale
	}
	if hit {
		found = ListHit
	}
	a.step("list", found, "required_lists", 0, "%s: listed %t, copy too old %t", l.Name, hit, stale)
}

func (a *answer) traceConsent(q *question, c *consent, article string, faults ReasonSet, until Instant) {
	if a.trace == nil {
		return
	}
	found := OKConsent
	if faults != 0 {
		found = faults.First()
	}
	a.step("basis.consent", found, article, c.position, "consent %q given %s to %s for %s, %s%s", c.id, stamp(c.given),
		strings.Join(c.organisations, ", "), strings.Join(c.products, ", "), ending(until), list(faults))
}

func (a *answer) traceRequest(r *request, faults ReasonSet, until Instant) {
	if a.trace == nil {
		return
	}
	found := OKRequested
	if faults != 0 {
		found = faults.First()
	}
	a.step("basis.request", found, a.regime.Requested, r.position, "asked %s about %s, %s%s", stamp(r.requested), r.product,
		ending(until), list(faults))
}

func (a *answer) traceBusiness(s *subscriber, outside bool) {
	if a.trace == nil {
		return
	}
	found := Reason(0)
	switch {
	case s.published:
		found = OKPublished
	case outside:
		found = OKOutsideEEA
	}
	a.step("basis.business", found, a.regime.Published, s.position, "%s, published for unsolicited calls %t, outside the EEA %t",
		s.kind, s.published, outside)
}

func (a *answer) traceLegalPerson(automated bool) {
	if a.trace == nil {
		return
	}
	if automated {
		a.step("basis.legal-person", AutomatedWithoutConsent, a.regime.ConsentAutomated, 0, "a machine calls a legal person")
		return
	}
	a.step("basis.legal-person", OKLegalPerson, a.regime.LegalPerson, 0, "a human calls a legal person")
}

func (a *answer) traceNoRelationship(r *relationship) {
	if a.trace == nil {
		return
	}
	a.step("basis.relationship", NoBasis, "", r.position, "%s with %s is no basis for this organisation under %s", r.kind,
		r.organisation, a.regime.ID)
}

func (a *answer) traceRelationship(r *relationship, rule *RelationshipBasis, faults ReasonSet, until Instant) {
	if a.trace == nil {
		return
	}
	found := rule.Reason
	if faults != 0 {
		found = faults.First()
	}
	a.step("basis.relationship", found, rule.Article, r.position, "%s with %s about %s since %s, %s%s", r.kind, r.organisation,
		r.product, stamp(r.started), ending(until), list(faults))
}

func (a *answer) traceLimits(q *question, p *past, tooMany, cooling bool) {
	if a.trace == nil {
		return
	}
	c := q.call.Campaign
	a.step("attempts", when(tooMany, Attempts), "max_attempts", 0, "%d of %d today, %d of %d in this campaign", p.today,
		c.Policy.MaxAttemptsPerDay, p.inCampaign, c.Policy.MaxAttemptsPerCampaign)
	a.step("abandoned", when(cooling, AbandonedCooldown), "abandoned_cooldown", 0, "last abandoned call %s, %s dialing",
		stamp(p.abandoned), q.call.dialing())
	a.step("campaign", when(c.Suspended, CampaignSuspended), "", 0, "suspended %t", c.Suspended)
}

func (a *answer) traceHours(q *question) {
	if a.trace == nil {
		return
	}
	if a.appointed {
		a.step("hours", 0, "CTM; hours_exempt", 0, "the person's own appointment")
		return
	}
	now := localOf(a.at)
	a.step("hours", a.hours, "CTM; Winkeltijdenwet 2", 0, "%s %s in Amsterdam, %s", now.date.Weekday(), stamp(a.at),
		changing(a.hoursNext))
}

func when(failed bool, r Reason) Reason {
	if failed {
		return r
	}
	return 0
}

func stamp(i Instant) string {
	switch i {
	case always:
		return "never"
	case Never:
		return "never"
	}
	return i.Time().Format(time.RFC3339)
}

func ending(i Instant) string {
	if i == Never {
		return "without end"
	}
	return "until " + stamp(i)
}

func changing(i Instant) string {
	if i == Never {
		return "for good"
	}
	return "until " + stamp(i)
}

func list(faults ReasonSet) string {
	if faults == 0 {
		return ""
	}
	words := make([]string, 0, 8)
	for _, r := range faults.List() {
		words = append(words, r.String())
	}
	return ": " + strings.Join(words, ", ")
}
