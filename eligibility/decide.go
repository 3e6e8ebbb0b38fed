package eligibility

import "time"

// Decide answers whether a call may be made at an instant. It is pure: the same arguments give the same answer, for ever.
func Decide(e *Eligibility, call *Call, cat *Catalogue, law *Law, at time.Time) Decision {
	q := question{e: e, call: call, cat: cat, law: law}
	answer := q.evaluate(Instant(at.UnixNano()), nil, nil)
	return q.decision(&answer)
}

// question is everything a decision depends on but the instant.
type question struct {
	e    *Eligibility
	call *Call
	cat  *Catalogue
	law  *Law
}

// answer is what the gates found at one instant. Every gate but those of the caller ID and the hours, which keep their own,
// lowers next to the first instant after at at which its finding could change.
type answer struct {
	at      Instant
	today   local
	regime  *Regime
	refused ReasonSet // gates that failed
	faults  ReasonSet // why bases did not hold
	held    bool      // a basis held, objected to or not
	basis   Basis     // the basis that heads the answer, free of objection; Kind 0: none
	// objected is the last objection that reaches the call; always: none does.
	objected          Instant
	objectionPosition uint64
	// appointed: the call rests on an appointment made for now, which lifts the hours.
	appointed bool
	hours     Reason
	hoursNext Instant
	next      Instant
	surely    Instant // at this one, if a fault of a basis heads the answer, the headline changes for certain
	callerID  CallerIDFinding
	trace     *trace
}

// evaluate asks every gate in the order of the headlines. before, where not nil, is the answer of an earlier instant: what
// cannot have changed since is taken from it, and the hours of a call that is refused anyway are left out.
func (q *question) evaluate(at Instant, t *trace, before *answer) answer {
	a := answer{at: at, today: localOf(at), objected: always, next: q.e.nextDate(at), surely: Never, callerID: CallerIDFinding{Changes: Never}, trace: t}
	if !q.jurisdiction(&a) {
		return a
	}
	q.callerID(&a, before)
	who := q.e.subscriberAt(at)
	natural := q.natural(who)
	q.objection(&a, natural)
	q.age(&a, who)
	q.lists(&a)
	past := q.history(&a)
	q.bases(&a, who, natural, &past)
	q.limits(&a, &past)
	if before == nil || a.refused == 0 && a.basis.Kind != 0 {
		q.openingHours(&a)
	}
	return a
}

// decision turns what was found into the answer for the caller.
func (q *question) decision(a *answer) Decision {
	d := Decision{Verdict: a.verdict(), Reasons: a.reasons(), CallerIDKnown: a.callerID.Registered}
	d.Reason = d.Reasons.First()
	if a.regime != nil {
		d.Regime = a.regime.ID
	}
	switch d.Verdict {
	case Allow:
		d.Basis, d.Obligations = a.basis, q.obligations(a.basis.Kind)
	case Defer:
		d.RetryTime = q.call.Campaign.Policy.opening(a.at).Time()
	}
	d.ValidUntil = q.changes(a, d.Verdict, d.Reason).Time()
	return d
}

// verdict folds the gates: a refusal beats the hours, the hours beat leave to call.
func (a *answer) verdict() Verdict {
	switch {
	case a.refused != 0 || a.basis.Kind == 0:
		return Deny
	case a.closed():
		return Defer
	default:
		return Allow
	}
}

// closed reports whether the hours keep the call back.
func (a *answer) closed() bool { return a.hours != 0 && !a.appointed }

// reasons are the gates that failed and, when no basis held, the faults of every basis tried. A basis counts as held
// although an objection stands. An allowed call has the one reason that heads it.
func (a *answer) reasons() ReasonSet {
	set := a.refused
	if a.basis.Kind == 0 && a.regime != nil {
		if a.objected != always {
			set = set.With(Objected)
		}
		if !a.held {
			set |= a.faults
		}
	}
	if a.closed() {
		set = set.With(a.hours)
	}
	if set == 0 {
		set = set.With(a.basis.Kind)
	}
	return set
}

// maxChanges bounds the walk through the instants at which something changes; beyond it the walk's last instant is
// given, which is earlier than the truth and so on the safe side.
const maxChanges = 100_000

// changes is the next instant at which verdict or headline is another by time alone. Where only the hours or only the
// caller ID can have changed, only they are asked again.
func (q *question) changes(a *answer, verdict Verdict, headline Reason) Instant {
	for range maxChanges {
		hours := Never
		if verdict != Deny {
			hours = a.hoursNext
		}
		callerID := a.callerID.Changes
		switch next := min(a.next, callerID, hours); {
		case next == Never:
			return Never
		case hours < min(a.next, callerID):
			a.at = hours
			a.hours, a.hoursNext = q.call.Campaign.Policy.hours(hours)
		case callerID < min(a.next, hours):
			q.callerIDAgain(a, callerID)
		case verdict == Deny && a.surely == next && headline == a.faults.First():
			return next
		default:
			*a = q.evaluate(next, nil, a)
		}
		if a.verdict() != verdict || a.reasons().First() != headline {
			break
		}
	}
	return a.at
}

// obligations are the duties of a call on a basis (Tw 11.7(2), (4)(b), (5)(b), (6); CTM: identity and purpose at once).
func (q *question) obligations(basis Reason) ObligationSet {
	var set ObligationSet
	if q.call.Campaign.telemarketing() {
		set |= 1 << StateIdentity
	}
	switch basis {
	case OKConsent, OKDonation, OKVolunteer, OKDemonstration, OKPublisher, OKLottery, OKCustomer:
		set |= 1 << OfferObjection
	}
	if q.call.Campaign.Policy.StateBasis {
		set |= 1 << StateBasis
	}
	return set
}
