package eligibility_test

import (
	"slices"
	"time"

	"github.com/belpoort/belpoort/callerid"
	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

// reference answers as the Act and the format of the scenarios read, word for word: it lists the facts that exist at the
// instant and walks over them, again for every question. It shares no rule, no order and no calendar with the engine.
type reference struct {
	cat           *Catalogue
	registrations map[string][]callerid.Registration // by number
}

// answer is what the reference says of a call.
type answer struct {
	verdict, headline, article string
	reasons, obligations       []string
	retry                      time.Time
}

// headlines is the order in which reasons head an answer.
var headlines = []string{
	"CALLEE_INVALID", "CALLEE_RANGE", "JURISDICTION_UNSUPPORTED",
	"CALLER_ID_WITHHELD", "CALLER_ID_RANGE", "CALLER_ID_NOT_REGISTERED", "CALLER_ID_NOT_REACHABLE",
	"OBJECTED", "MINOR", "LIST_HIT", "LIST_STALE",
	"WITHDRAWN", "CONSENT_EXPIRED", "CONSENT_STALE", "CONSENT_UNVERIFIED", "EVIDENCE_MISSING", "CONSENT_SCOPE",
	"CONSENT_ORGANISATION", "CONSENT_CHANNEL", "REQUEST_USED", "REQUEST_EXPIRED", "TERM_EXPIRED", "NUMBER_ENRICHED",
	"NO_OBJECTION_OFFER_AT_COLLECTION", "DISSIMILAR", "ENTITY_MISMATCH", "AUTOMATED_WITHOUT_CONSENT", "NO_BASIS",
	"ATTEMPTS", "ABANDONED_COOLDOWN", "CAMPAIGN_SUSPENDED", "HOURS", "HOLIDAY",
}

// grounds is the order in which bases that hold head an answer.
var grounds = []string{
	"OK_SERVICE", "OK_RESEARCH", "OK_CONSENT", "OK_REQUESTED", "OK_PUBLISHED", "OK_OUTSIDE_EEA", "OK_DONATION",
	"OK_VOLUNTEER", "OK_DEMONSTRATION", "OK_PUBLISHER", "OK_LOTTERY", "OK_CUSTOMER", "OK_LEGAL_PERSON",
}

// offersObjection names the bases under which the right of objection must be offered.
var offersObjection = []string{
	"OK_CONSENT", "OK_DONATION", "OK_VOLUNTEER", "OK_DEMONSTRATION", "OK_PUBLISHER", "OK_LOTTERY", "OK_CUSTOMER",
}

// question is one call at one instant, with the facts that exist then.
type question struct {
	*reference
	call          *Call
	campaign      *Campaign
	organisation  *Organisation
	policy        *Policy
	at            time.Time
	subscriber    Subscriber
	consents      []*Consent
	withdrawals   []*Withdrawal
	relationships []*Relationship
	requests      []*CallRequest
	objections    []*Objection
	calls         []*CallReport
	copies        []*ListEntry
}

// ground is a basis that holds; standsDespite tells that no objection takes it away.
type ground struct {
	kind, article string
	standsDespite bool
}

func (r *reference) ask(call *Call, facts []Fact, at time.Time) *question {
	q := &question{
		reference: r, call: call, campaign: call.Campaign, organisation: call.Campaign.Organisation,
		policy: call.Campaign.Policy, at: at,
	}
	var subscribers []Fact
	for _, f := range withoutErased(facts) {
		switch {
		case f.Subscriber != nil && !f.Subscriber.Since.After(at):
			subscribers = append(subscribers, f)
		case f.Consent != nil && !f.Consent.GivenAt.After(at):
			q.consents = append(q.consents, f.Consent)
		case f.Withdrawal != nil && !f.Withdrawal.At.After(at):
			q.withdrawals = append(q.withdrawals, f.Withdrawal)
		case f.Relationship != nil && !f.Relationship.StartedAt.After(at):
			q.relationships = append(q.relationships, f.Relationship)
		case f.CallRequest != nil && !f.CallRequest.RequestedAt.After(at):
			q.requests = append(q.requests, f.CallRequest)
		case f.Erasure != nil && f.Erasure.Born != Date{}:
			subscribers = append(subscribers, Fact{Position: f.Position, Subscriber: &Subscriber{Born: f.Erasure.Born}})
		case f.Objection != nil && !f.Objection.At.After(at) && !corrected(f.Position, facts, at):
			q.objections = append(q.objections, f.Objection)
		case f.CallReport != nil && !f.CallReport.At.After(at):
			q.calls = append(q.calls, f.CallReport)
		case f.ListEntry != nil && !f.ListEntry.LoadedAt.After(at):
			q.copies = append(q.copies, f.ListEntry)
		}
	}
	q.subscriber = newest(subscribers)
	return q
}

// withoutErased leaves out what a person agreed to, was or asked before they were erased.
func withoutErased(facts []Fact) (left []Fact) {
	for _, f := range facts {
		gone := false
		for _, e := range facts {
			if e.Erasure == nil {
				continue
			}
			gone = gone || f.Consent != nil && !f.Consent.GivenAt.After(e.Erasure.At) ||
				f.Relationship != nil && !f.Relationship.StartedAt.After(e.Erasure.At) ||
				f.CallRequest != nil && !f.CallRequest.RequestedAt.After(e.Erasure.At)
		}
		if !gone {
			left = append(left, f)
		}
	}
	return left
}

// corrected tells that two people have found the objection at a position to be a mistake.
func corrected(position uint64, facts []Fact, at time.Time) bool {
	for _, f := range facts {
		c := f.Correction
		if c != nil && c.Objection == position && position > 0 && f.Position > position && !c.At.After(at) && c.ApprovedBy != "" && c.ApprovedBy != c.ProposedBy {
			return true
		}
	}
	return false
}

// newest is the subscriber that counts: the latest since, then the highest position.
func newest(facts []Fact) Subscriber {
	if len(facts) == 0 {
		return Subscriber{}
	}
	best := facts[0]
	for _, f := range facts[1:] {
		later := f.Subscriber.Since.After(best.Subscriber.Since)
		if later || f.Subscriber.Since.Equal(best.Subscriber.Since) && f.Position > best.Position {
			best = f
		}
	}
	return *best.Subscriber
}

// answer says whether the call may be made.
func (r *reference) answer(call *Call, facts []Fact, at time.Time) answer {
	q := r.ask(call, facts, at)
	found := map[string]bool{}
	note := func(reason string) {
		if reason != "" {
			found[reason] = true
		}
	}
	note(calleeFault(call.Callee))
	if foreign(call.Callee) || at.Before(lawOf2021) {
		note("JURISDICTION_UNSUPPORTED")
		return q.refuse(found)
	}
	note(q.callerIDFault())
	note(q.minor())
	for _, reason := range q.lists() {
		note(reason)
	}
	held, faults := q.basis()
	for _, reason := range faults {
		note(reason)
	}
	note(q.attempts())
	note(q.cooldown())
	if q.campaign.Suspended {
		note("CAMPAIGN_SUSPENDED")
	}
	if !q.appointment() {
		note(hoursFault(q.policy, at))
	}
	if len(found) > 0 {
		return q.refuse(found)
	}
	return q.allow(held)
}

func (q *question) refuse(found map[string]bool) answer {
	a := answer{verdict: "DENY"}
	for _, reason := range headlines {
		if found[reason] {
			a.reasons = append(a.reasons, reason)
		}
	}
	a.headline = a.reasons[0]
	if a.headline == "HOURS" || a.headline == "HOLIDAY" {
		a.verdict, a.retry = "DEFER", nextOpening(q.policy, q.at)
	}
	return a
}

func (q *question) allow(held ground) answer {
	a := answer{verdict: "ALLOW", headline: held.kind, article: held.article, reasons: []string{held.kind}}
	if slices.Contains(offersObjection, held.kind) {
		a.obligations = append(a.obligations, "OFFER_OBJECTION")
	}
	if q.telemarketing() {
		a.obligations = append(a.obligations, "STATE_IDENTITY")
	}
	if q.policy.StateBasis {
		a.obligations = append(a.obligations, "STATE_BASIS")
	}
	return a
}

func (q *question) telemarketing() bool {
	purpose := q.campaign.Purpose.String()
	return purpose != "SERVICE" && purpose != "RESEARCH"
}

func (q *question) automated() bool {
	mode := q.campaign.Mode
	if q.call.Mode != 0 {
		mode = q.call.Mode
	}
	return mode.String() == "AUTOMATED"
}

func (q *question) minor() string {
	born := q.subscriber.Born
	if !q.telemarketing() || born == (Date{}) {
		return ""
	}
	birth := time.Date(born.Year, born.Month, born.Day, 12, 0, 0, 0, dutchZone)
	if dateOf(q.at) < dateOf(after(birth, Duration{Months: 12 * q.policy.MinimumAge})) {
		return "MINOR"
	}
	return ""
}

// lists looks at each required list in the newest copy that is known; of two equally new ones the entry counts, and a copy
// of unknown age may be the newest.
func (q *question) lists() []string {
	var reasons []string
	for _, required := range q.policy.RequiredLists {
		var copies []*ListEntry
		for _, c := range q.copies {
			if c.List == required.Name {
				copies = append(copies, c)
			}
		}
		var loaded time.Time
		for _, c := range copies {
			if c.LoadedAt.After(loaded) {
				loaded = c.LoadedAt
			}
		}
		for _, c := range copies {
			newest := c.LoadedAt.IsZero() || c.LoadedAt.Equal(loaded)
			if newest && !c.Since.IsZero() && !c.Since.After(q.at) {
				reasons = append(reasons, "LIST_HIT")
			}
		}
		limited := required.MaxAge != (Duration{})
		if limited && (loaded.IsZero() || !q.at.Before(after(loaded, required.MaxAge))) {
			reasons = append(reasons, "LIST_STALE")
		}
	}
	return reasons
}

// ours tells that an earlier call was made for the calling organisation; a campaign that nobody knows counts against us.
func (q *question) ours(c *CallReport) bool {
	campaign, known := q.cat.Campaigns[c.Campaign]
	return !known || campaign.Organisation.ID == q.organisation.ID
}

func (q *question) attempts() string {
	today, inCampaign := 0, 0
	for _, c := range q.calls {
		if c.Outcome.String() == "FAILED" {
			continue
		}
		if q.ours(c) && dateOf(c.At) == dateOf(q.at) {
			today++
		}
		if c.Campaign == q.campaign.ID {
			inCampaign++
		}
	}
	if today >= q.policy.MaxAttemptsPerDay || inCampaign >= q.policy.MaxAttemptsPerCampaign {
		return "ATTEMPTS"
	}
	return ""
}

func (q *question) cooldown() string {
	dialing := q.campaign.Dialing
	if q.call.Dialing != 0 {
		dialing = q.call.Dialing
	}
	if dialing.String() != "PREDICTIVE" || !q.telemarketing() {
		return ""
	}
	for _, c := range q.calls {
		if q.ours(c) && c.Outcome.String() == "ABANDONED" && q.at.Before(after(c.At, q.policy.AbandonedCooldown)) {
			return "ABANDONED_COOLDOWN"
		}
	}
	return ""
}
