package eligibility

import (
	"fmt"
	"strings"
	"time"
)

// Language is the language in which steps are told.
type Language uint8

// The languages.
const (
	English Language = iota
	Dutch
)

// Explain decides as Decide does, by the same code, and shows every rule tried, in order.
func Explain(e *Eligibility, call *Call, cat *Catalogue, law *Law, at time.Time, language Language) (Decision, []Step) {
	q := question{e: e, call: call, cat: cat, law: law}
	t := &trace{language: language}
	a := q.evaluate(Instant(at.UnixNano()), t, nil)
	return q.decision(&a), t.steps
}

// trace collects the rules tried. Where there is none, the methods below do nothing.
type trace struct {
	language Language
	steps    []Step
}

// say chooses between the two languages.
func (t *trace) say(english, dutch string) string {
	if t.language == Dutch {
		return dutch
	}
	return english
}

// step adds a rule; what it rests on is given as articles and sources.
func (a *answer) step(rule string, reason Reason, article, source string, position uint64, format string, args ...any) {
	a.trace.steps = append(a.trace.steps, Step{
		Rule: rule, Passed: reason < CalleeInvalid, Reason: reason, Inputs: fmt.Sprintf(format, args...), Article: article,
		Source: source, Position: position,
	})
}

// setting adds a rule that rests on a policy setting.
func (a *answer) setting(q *question, rule string, reason Reason, setting string, format string, args ...any) {
	a.step(rule, reason, setting, q.law.Sources[setting], 0, format, args...)
}

func (a *answer) traceCallee(q *question, found Reason) {
	if a.trace == nil {
		return
	}
	inputs, source := a.trace.say("no number that can be called", "geen nummer dat gebeld kan worden"), ""
	if r, ok := q.law.RangeOf(q.call.Callee); ok {
		inputs, source = a.trace.say("range ", "reeks ")+r.Prefix, r.Source
	} else if q.call.Callee != "" && !q.law.Governs(q.call.Callee) {
		inputs = a.trace.say("a number of another country", "een nummer van een ander land")
	}
	a.step("callee", found, "Nummerplan telefoon- en ISDN-diensten", source, 0, "%s", inputs)
}

func (a *answer) traceRegime() {
	if a.trace == nil {
		return
	}
	if a.regime == nil {
		a.step("regime", JurisdictionUnsupported, "", "", 0, a.trace.say("no regime is loaded for %s", "voor %s is geen wet geladen"),
			a.stamp(a.at))
		return
	}
	a.step("regime", 0, a.regime.ID, a.regime.Source, 0, a.trace.say("dial instant %s", "moment van bellen %s"), a.stamp(a.at))
}

func (a *answer) traceCallerID(q *question) {
	if a.trace == nil {
		return
	}
	known := a.trace.say("not in the register", "niet in het register")
	if a.callerID.Registered {
		known = a.trace.say("in the register", "in het register")
	}
	a.step("caller-id", a.callerID.Reason, a.regime.CallerID, a.regime.Source+"; "+q.law.Sources["caller_id_test_max_age"], 0,
		"%s, %s", known, a.lasting(a.callerID.Changes))
}

func (a *answer) traceObjection(q *question, ignored bool) {
	if a.trace == nil {
		return
	}
	switch article, source := a.regime.Objection, a.regime.Source; {
	case ignored:
		a.step("objection", 0, article, source, 0, "%s", a.trace.say("objections do not reach this call", "verzet raakt dit gesprek niet"))
	case a.objected != always:
		a.step("objection", Objected, article, source, a.objectionPosition, a.trace.say("objected at %s", "verzet op %s"), a.stamp(a.objected))
	default:
		a.step("objection", 0, article, source, 0, a.trace.say("%d objections held, none reaches this call",
			"%d keer verzet bekend, geen ervan raakt dit gesprek"), len(q.e.objections))
	}
}

// traceCorrected shows an objection that would reach the call if it had not been corrected.
func (a *answer) traceCorrected(o *objection) {
	if a.trace != nil {
		a.step("objection.corrected", 0, a.regime.Objection, "", o.position, a.trace.say("objected at %s by mistake, corrected at %s (position %d)",
			"verzet op %s bij vergissing, gecorrigeerd op %s (positie %d)"), a.stamp(o.at), a.stamp(o.corrected), o.correction)
	}
}

func (a *answer) traceErased(q *question) {
	if a.trace != nil && q.e.erased.at != Never {
		a.step("erased", 0, "AVG 17", "", q.e.erased.position, a.trace.say("erased at %s: no basis of before counts",
			"gewist op %s: geen grondslag van daarvoor telt"), a.stamp(q.e.erased.at))
	}
}

func (a *answer) traceAge(q *question, found Reason) {
	if a.trace == nil {
		return
	}
	a.setting(q, "age", found, "minimum_age", a.trace.say("minimum age %d", "minimumleeftijd %d"), q.call.Campaign.Policy.MinimumAge)
}

func (a *answer) traceList(q *question, l *RequiredList, hit, stale bool) {
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
	a.setting(q, "list", found, "required_lists", a.trace.say("%s: listed %s, copy too old %s", "%s: staat erop %s, kopie te oud %s"),
		l.Name, a.yes(hit), a.yes(stale))
}

func (a *answer) traceConsent(c *consent, article string, faults ReasonSet, until Instant) {
	a.step("basis.consent", headline(OKConsent, faults), article, a.regime.Source, c.position,
		a.trace.say("consent %q given %s to %s for %s, %s%s", "toestemming %q gegeven %s aan %s voor %s, %s%s"),
		c.id, a.stamp(c.given), strings.Join(c.organisations, ", "), strings.Join(c.products, ", "), a.ending(until), list(faults))
}

func (a *answer) traceRequest(r *request, faults ReasonSet, until Instant) {
	if a.trace == nil {
		return
	}
	a.step("basis.request", headline(OKRequested, faults), a.regime.Requested, a.regime.Source, r.position,
		a.trace.say("asked %s about %s, %s%s", "gevraagd %s over %s, %s%s"), a.stamp(r.requested), r.product, a.ending(until), list(faults))
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
	a.step("basis.business", found, a.regime.Published, a.regime.Source, s.position,
		a.trace.say("%s, published for unsolicited calls %s, outside the EEA %s", "%s, bekendgemaakt voor ongevraagde oproepen %s, buiten de EER %s"),
		s.kind, a.yes(s.published), a.yes(outside))
}

func (a *answer) traceLegalPerson(automated bool) {
	if a.trace == nil {
		return
	}
	if automated {
		a.step("basis.legal-person", AutomatedWithoutConsent, a.regime.ConsentAutomated, a.regime.Source, 0, "%s",
			a.trace.say("a machine calls a legal person", "een machine belt een rechtspersoon"))
		return
	}
	a.step("basis.legal-person", OKLegalPerson, a.regime.LegalPerson, a.regime.Source, 0, "%s",
		a.trace.say("a human calls a legal person", "een mens belt een rechtspersoon"))
}

func (a *answer) traceNoRelationship(r *relationship) {
	if a.trace == nil {
		return
	}
	a.step("basis.relationship", NoBasis, a.regime.ID, a.regime.Source, r.position, a.trace.say("%s with %s is no basis for this organisation",
		"%s bij %s is geen grondslag voor deze organisatie"), r.kind, r.organisation)
}

func (a *answer) traceRelationship(r *relationship, rule *RelationshipBasis, faults ReasonSet, until Instant) {
	if a.trace == nil {
		return
	}
	a.step("basis.relationship", headline(rule.Reason, faults), rule.Article, rule.Source, r.position,
		a.trace.say("%s with %s about %s since %s, %s%s", "%s bij %s over %s sinds %s, %s%s"), r.kind, r.organisation, r.product,
		a.stamp(r.started), a.ending(until), list(faults))
}

func (a *answer) traceLimits(q *question, p *past, tooMany, cooling bool) {
	if a.trace == nil {
		return
	}
	c := q.call.Campaign
	a.setting(q, "attempts", when(tooMany, Attempts), "max_attempts",
		a.trace.say("%d of %d today, %d of %d in this campaign", "%d van %d vandaag, %d van %d in deze campagne"), p.today,
		c.Policy.MaxAttemptsPerDay, p.inCampaign, c.Policy.MaxAttemptsPerCampaign)
	a.setting(q, "abandoned", when(cooling, AbandonedCooldown), "abandoned_cooldown",
		a.trace.say("last abandoned call %s, %s dialing", "laatste afgebroken oproep %s, kiezen %s"), a.stamp(p.abandoned), q.call.dialing())
	a.traceSuspension(q, c)
}

// bySuspension are the settings that stop a campaign by themselves.
var bySuspension = map[SuspensionCause]string{OfferDebt: "offer_debt_limit", AbandonedShare: "abandoned_limit"}

func (a *answer) traceSuspension(q *question, c *Campaign) {
	s := c.Suspension
	if c.Suspended || s == nil {
		a.step("campaign", when(c.Suspended, CampaignSuspended), "", "", 0, a.trace.say("suspended in the catalogue %s", "gestopt in de catalogus %s"),
			a.yes(c.Suspended))
		return
	}
	setting := bySuspension[s.Cause]
	a.step("campaign", CampaignSuspended, setting, q.law.Sources[setting], s.Position,
		a.trace.say("suspended since %s, %v: %s", "gestopt sinds %s, %v: %s"), s.Since.UTC().Format(time.RFC3339), s.Cause, s.Reason)
}

func (a *answer) traceHours(q *question) {
	if a.trace == nil {
		return
	}
	if a.appointed {
		a.setting(q, "hours", 0, "hours_exempt", "%s", a.trace.say("the person's own appointment", "de eigen afspraak van de persoon"))
		return
	}
	a.setting(q, "hours", a.hours, "hours", a.trace.say("%s %s in Amsterdam, %s", "%s %s in Amsterdam, %s"),
		a.weekday(localOf(a.at).date.Weekday()), a.stamp(a.at), a.lasting(a.hoursNext))
}

// headline is what a basis came to: that it holds, or its first fault.
func headline(held Reason, faults ReasonSet) Reason {
	if faults != 0 {
		return faults.First()
	}
	return held
}

func when(failed bool, r Reason) Reason {
	if failed {
		return r
	}
	return 0
}

var dutchDays = [...]string{"zondag", "maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag"}

func (a *answer) weekday(d time.Weekday) string { return a.trace.say(d.String(), dutchDays[d]) }

func (a *answer) yes(b bool) string {
	if b {
		return a.trace.say("yes", "ja")
	}
	return a.trace.say("no", "nee")
}

func (a *answer) stamp(i Instant) string {
	if i == always || i == Never {
		return a.trace.say("never", "nooit")
	}
	return i.Time().Format(time.RFC3339)
}

func (a *answer) ending(i Instant) string {
	if i == Never {
		return a.trace.say("without end", "zonder einde")
	}
	return a.trace.say("until ", "tot ") + a.stamp(i)
}

func (a *answer) lasting(i Instant) string {
	if i == Never {
		return a.trace.say("for good", "blijvend")
	}
	return a.trace.say("until ", "tot ") + a.stamp(i)
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
