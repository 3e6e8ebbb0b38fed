package eligibility

import (
	"cmp"
	"slices"
	"time"
)

// Eligibility is the facts of one callee, folded into the form in which Decide reads them. Immutable.
type Eligibility struct {
	callee   CalleeToken
	position uint64
	readTime time.Time

	subscribers   []subscriber // by since; the later wins
	consents      []consent    // newest first
	withdrawals   []withdrawal // those of whole organisations
	relationships []relationship
	requests      []request
	objections    []objection
	histories     []history // by campaign
	lists         []listEntry
	erased        erased
	// dates are the instants at which facts begin to exist, in order: what lies after the dial instant is no fact yet.
	dates []Instant
}

type subscriber struct {
	since         Instant
	position      uint64
	kind          SubscriberKind
	privateLine   bool
	published     bool
	establishedIn string
	born          Date
}

type consent struct {
	id            string
	position      uint64
	organisations []string
	products      []string
	purposes      uint8
	person        string
	given         Instant
	givenLocal    local
	halfYear      Instant // six and twelve months after it was given: the law's defaults, so mostly what is asked
	year          Instant
	expires       Instant // Never: it names no period
	firstCall     Duration
	verified      Instant // Never: nobody did
	withdrawn     Instant // by its id; Never: it was not
	phone         bool
	bundled       bool
	ownInitiative bool
	shown         bool // all that proves it is there
}

type withdrawal struct {
	organisation string
	at           Instant
}

type relationship struct {
	kind         RelationshipKind
	position     uint64
	organisation string
	product      string
	started      Instant
	ended        Instant // Never: still running
	fromSubject  bool
	noOffer      bool
}

type request struct {
	position     uint64
	organisation string
	product      string
	requested    Instant
	callAt       Instant // Never: no appointment
}

type objection struct {
	position     uint64
	organisation string
	at           Instant
	scope        ObjectionScope
	product      string
	corrected    Instant // Never: it was not
	correction   uint64  // the position of what corrects it; 0: nothing
}

// erased is the last erasure; at Never: none.
type erased struct {
	at       Instant
	position uint64
}

// history is the earlier calls of one campaign, in order of time.
type history struct {
	campaign string
	calls    []pastCall
}

type pastCall struct {
	at      Instant
	outcome Outcome
}

type listEntry struct {
	list     string
	position uint64
	since    Instant // Never: the number does not stand on it
	loaded   Instant // always: unknown
}

// Fold folds the facts of a callee as the ledger held them at a position, read at readTime. The order of the facts does
// not matter.
func Fold(callee CalleeToken, position uint64, readTime time.Time, facts []Fact) *Eligibility {
	e := &Eligibility{callee: callee, position: position, readTime: readTime}
	e.erased = lastErasure(facts)
	withdrawn := map[string]Instant{}
	for i := range facts {
		if !e.void(&facts[i]) {
			e.add(&facts[i], withdrawn)
		}
	}
	e.correct(facts)
	for i := range e.consents {
		if at, ok := withdrawn[e.consents[i].id]; ok {
			e.consents[i].withdrawn = at
		}
	}
	e.order()
	return e
}

func lastErasure(facts []Fact) erased {
	last := erased{at: Never}
	for i := range facts {
		f := &facts[i]
		if f.Erasure == nil {
			continue
		}
		at := InstantOf(f.Erasure.At, always)
		if last.at == Never || at > last.at || at == last.at && f.Position > last.position {
			last = erased{at, f.Position}
		}
	}
	return last
}

// void reports a basis from before the callee was erased: a list that is loaded again does not bring it back.
func (e *Eligibility) void(f *Fact) bool {
	if e.erased.at == Never || mutantErasedComesBack {
		return false
	}
	switch {
	case f.Consent != nil:
		return InstantOf(f.Consent.GivenAt, always) <= e.erased.at
	case f.Relationship != nil:
		return InstantOf(f.Relationship.StartedAt, always) <= e.erased.at
	case f.CallRequest != nil:
		return InstantOf(f.CallRequest.RequestedAt, always) <= e.erased.at
	}
	return false
}

// correct notes which objections do not stand, and from when. A correction names one that the ledger holds before it.
func (e *Eligibility) correct(facts []Fact) {
	for i := range facts {
		c := facts[i].Correction
		if c == nil || c.ApprovedBy == "" || c.ApprovedBy == c.ProposedBy {
			continue // nobody corrects alone
		}
		at := e.date(c.At)
		for j := range e.objections {
			o := &e.objections[j]
			named := c.Objection != 0 && o.position == c.Objection && o.position < facts[i].Position
			if named && (at < o.corrected || at == o.corrected && facts[i].Position < o.correction) {
				o.corrected, o.correction = at, facts[i].Position
			}
		}
	}
}

func (e *Eligibility) add(f *Fact, withdrawn map[string]Instant) {
	switch {
	case f.Subscriber != nil:
		e.addSubscriber(f.Subscriber, f.Position)
	case f.Consent != nil:
		e.addConsent(f.Consent, f.Position)
	case f.Withdrawal != nil:
		e.addWithdrawal(f.Withdrawal, withdrawn)
	case f.Relationship != nil:
		e.addRelationship(f.Relationship, f.Position)
	case f.CallRequest != nil:
		r := f.CallRequest
		at := e.date(r.RequestedAt)
		e.requests = append(e.requests, request{f.Position, r.Organisation, r.Product, at, InstantOf(r.CallAt, Never)})
	case f.Objection != nil:
		e.addObjection(f.Objection, f.Position)
	case f.CallReport != nil:
		e.addCall(f.CallReport)
	case f.ListEntry != nil:
		l := f.ListEntry
		since := InstantOf(l.Since, Never)
		e.dates = append(e.dates, since)
		e.lists = append(e.lists, listEntry{l.List, f.Position, since, e.date(l.LoadedAt)})
	case f.Erasure != nil && !f.Erasure.Born.IsZero():
		e.addSubscriber(&Subscriber{Born: f.Erasure.Born}, f.Position)
	}
}

// date notes when a fact begins to exist; a fact without a date always did.
func (e *Eligibility) date(t time.Time) Instant {
	at := InstantOf(t, always)
	e.dates = append(e.dates, at)
	return at
}

func (e *Eligibility) addSubscriber(s *Subscriber, position uint64) {
	e.subscribers = append(e.subscribers, subscriber{
		since: e.date(s.Since), position: position, kind: s.Kind, privateLine: s.PrivateLine,
		published: s.PublishedForUnsolicited, establishedIn: s.EstablishedIn, born: s.Born,
	})
}

func (e *Eligibility) addConsent(c *Consent, position uint64) {
	given := e.date(c.GivenAt)
	folded := consent{
		id: c.ID, position: position, organisations: c.Organisations, products: c.Products, person: c.Person,
		given: given, expires: InstantOf(c.ExpiresAt, Never), firstCall: c.FirstCallWithin, verified: Never, withdrawn: Never,
		phone: len(c.Channels) == 0 || slices.Contains(c.Channels, Phone), bundled: c.Bundled, ownInitiative: c.OwnInitiative,
		shown: consentShown(c),
	}
	if given != always {
		folded.givenLocal = localOf(given)
		folded.halfYear, folded.year = sixMonths.afterLocal(folded.givenLocal), twelveMonths.afterLocal(folded.givenLocal)
	}
	if c.Verified != nil {
		folded.verified = InstantOf(c.Verified.At, Never)
		e.dates = append(e.dates, folded.verified)
	}
	for _, p := range c.Purposes {
		folded.purposes |= 1 << p
	}
	e.consents = append(e.consents, folded)
}

var sixMonths, twelveMonths = Duration{Months: 6}, Duration{Months: 12}

// consentShown tells whether a consent carries all that the sender must be able to show (Tw 11.7(1); AVG 7(1)).
func consentShown(c *Consent) bool {
	return c.Source != "" && c.Wording != "" && c.Method != 0 && !c.GivenAt.IsZero() && c.Person != "" && !c.Preticked &&
		c.Evidence != nil && c.Evidence.URI != "" && c.Evidence.SHA256 != ""
}

func (e *Eligibility) addWithdrawal(w *Withdrawal, withdrawn map[string]Instant) {
	at := e.date(w.At)
	if w.ConsentID == "" {
		e.withdrawals = append(e.withdrawals, withdrawal{w.Organisation, at})
		return
	}
	if first, ok := withdrawn[w.ConsentID]; !ok || at < first {
		withdrawn[w.ConsentID] = at
	}
}

func (e *Eligibility) addRelationship(r *Relationship, position uint64) {
	e.relationships = append(e.relationships, relationship{
		kind: r.Kind, position: position, organisation: r.Organisation, product: r.Product,
		started: e.date(r.StartedAt), ended: InstantOf(r.EndedAt, Never),
		fromSubject: r.NumberSource == 0 || r.NumberSource == FromSubject, noOffer: r.NoObjectionOfferAtCollection,
	})
}

func (e *Eligibility) addObjection(o *Objection, position uint64) {
	scope := o.Scope
	if scope == 0 {
		scope = ScopeOrganisation
	}
	e.objections = append(e.objections, objection{position, o.Organisation, e.date(o.At), scope, o.Product, Never, 0})
}

func (e *Eligibility) addCall(c *CallReport) {
	call := pastCall{e.date(c.At), c.Outcome}
	for i := range e.histories {
		if e.histories[i].campaign == c.Campaign {
			e.histories[i].calls = append(e.histories[i].calls, call)
			return
		}
	}
	e.histories = append(e.histories, history{c.Campaign, []pastCall{call}})
}

// order brings everything into an order that does not depend on the order in which the facts came.
func (e *Eligibility) order() {
	slices.Sort(e.dates)
	slices.SortFunc(e.subscribers, func(a, b subscriber) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.position, b.position), a.strictness(b))
	})
	slices.SortFunc(e.consents, func(a, b consent) int {
		return cmp.Or(cmp.Compare(b.given, a.given), cmp.Compare(b.expires, a.expires), cmp.Compare(b.position, a.position),
			cmp.Compare(a.id, b.id))
	})
	slices.SortFunc(e.histories, func(a, b history) int { return cmp.Compare(a.campaign, b.campaign) })
	for _, h := range e.histories {
		slices.SortFunc(h.calls, func(a, b pastCall) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.outcome, b.outcome))
		})
	}
}

// strictness orders two statements of the same moment so that the one that protects the callee more comes last and wins.
func (s subscriber) strictness(b subscriber) int {
	return cmp.Or(
		cmp.Compare(protection(s.kind), protection(b.kind)),
		compareBool(s.privateLine, b.privateLine),
		compareBool(b.published, s.published),
		cmp.Compare(b.establishedIn, s.establishedIn),
		cmp.Compare(s.born.days(), b.born.days()),
	)
}

// protection ranks the legal forms by how much the law protects them.
func protection(k SubscriberKind) int {
	switch k {
	case LegalPerson:
		return 0
	case InFormation:
		return 1
	case SoleTrader, Partnership:
		return 2
	default:
		return 3
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// CalleeToken names the callee.
func (e *Eligibility) CalleeToken() CalleeToken { return e.callee }

// LedgerPosition is the ledger's last position when the facts were read.
func (e *Eligibility) LedgerPosition() uint64 { return e.position }

// ReadTime is when the facts were read.
func (e *Eligibility) ReadTime() time.Time { return e.readTime }

// MemorySize is about how many bytes the record occupies.
func (e *Eligibility) MemorySize() int {
	size := 352 + len(e.subscribers)*88 + len(e.consents)*248 + len(e.withdrawals)*24 + len(e.relationships)*72 +
		len(e.requests)*56 + len(e.objections)*80 + len(e.histories)*40 + len(e.lists)*40 + len(e.dates)*8
	for i := range e.consents {
		c := &e.consents[i]
		size += len(c.id) + len(c.person) + textSize(c.organisations) + textSize(c.products)
	}
	for i := range e.relationships {
		size += len(e.relationships[i].organisation) + len(e.relationships[i].product)
	}
	for i := range e.histories {
		size += len(e.histories[i].campaign) + len(e.histories[i].calls)*16
	}
	return size
}

func textSize(words []string) int {
	size := 0
	for _, w := range words {
		size += 16 + len(w)
	}
	return size
}

// nextDate is the first instant after at from which a fact exists that did not before.
func (e *Eligibility) nextDate(at Instant) Instant {
	n := len(e.dates)
	if n == 0 || e.dates[n-1] <= at {
		return Never
	}
	i, _ := slices.BinarySearch(e.dates, at+1)
	return e.dates[i]
}
