package eligibility_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/belpoort/belpoort/callerid"
	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

// years are those in which instants fall, apart from the ones that the world thinks of; 2025 to 2027 lie around the change
// of law, 2024 and 2028 are leap years.
var years = []int{2021, 2024, 2025, 2026, 2027, 2028, 2031}

// halfYears are when the organisations' own numbers are tested.
var halfYears = func() (all []time.Time) {
	for _, year := range years {
		all = append(all, time.Date(year, 1, 1, 0, 0, 0, 0, dutchZone), time.Date(year, 7, 1, 0, 0, 0, 0, dutchZone))
	}
	return all
}()

// newReference is a world and its reference: caller IDs that are tested anew every half year, and others with gaps.
func newReference(tb testing.TB, seed uint64) (*world, *reference) {
	tb.Helper()
	w := newWorld(tb, seed)
	var all []callerid.Registration
	for i, id := range w.ids {
		for _, tested := range halfYears {
			all = append(all, callerid.Registration{Number: ownNumber(i), Organisation: id, ValidFrom: tested, ValidUntil: tested.AddDate(0, 6, 0),
				CallbackTestedAt: tested, PublishedURL: "https://x.example/"})
		}
		for _, number := range append(callers[1:6:6], "+318001234567", "+31911234567", "+3197012345678") {
			all = append(all, w.registration(number, id))
		}
	}
	register, err := callerid.NewRegister(all)
	if err != nil {
		tb.Fatal(err)
	}
	w.cat.CallerIDs = register
	byNumber := map[string][]callerid.Registration{}
	for _, g := range all {
		byNumber[g.Number] = append(byNumber[g.Number], g)
	}
	return w, &reference{cat: w.cat, registrations: byNumber}
}

// ownNumber is the number that the i-th organisation shows with every right.
func ownNumber(i int) string { return "+31201234" + strconv.Itoa(500+i) }

func (w *world) registration(number, organisation string) callerid.Registration {
	from := w.maybe(time.Date(2021+w.rng.IntN(6), time.Month(1+w.rng.IntN(12)), 18, 14, 0, 0, 0, dutchZone), 2)
	begun := from
	if from.IsZero() {
		begun = time.Date(2026, 1, 1, 0, 0, 0, 0, dutchZone)
	}
	return callerid.Registration{
		Number: number, Organisation: organisation, ValidFrom: from, ValidUntil: w.maybe(begun.AddDate(0, 1+w.rng.IntN(20), 0), 2),
		CallbackTestedAt: pick(w, time.Time{}, time.Date(2026, time.Month(1+w.rng.IntN(11)), 18, 14, 0, 0, 0, dutchZone)),
		PublishedURL:     pick(w, "https://x.example/", "https://y.example/", ""),
	}
}

// lengths are those at which something happens to a fact or a day.
var lengths = []Duration{
	{Months: 1}, {Months: 6}, {Months: 9}, {Months: 12}, {Months: 24}, {Months: 36}, {Days: 1}, {Days: 3}, {Days: 7}, {Days: 30}, {Days: 31},
	{Hours: 72}, {Hours: 500},
}

// edge is an instant at, just before or just after one at which something ends at t.
func (w *world) edge(t time.Time) time.Time {
	d := pick(w, lengths...)
	back := t.Add(-time.Duration(d.Hours)*time.Hour).AddDate(0, -d.Months, -d.Days)
	return back.Add(pick(w, -time.Nanosecond, 0, 0, time.Nanosecond, time.Second, -time.Minute))
}

// instant is a special day, a change of the clock, or what the world thinks of.
func (w *world) instant() time.Time {
	year := pick(w, years...)
	easter := paschal(year)
	switch w.rng.IntN(8) {
	case 0:
		days := pick(w, -49, -3, -2, -1, 0, 1, 38, 39, 40, 49, 50)
		return clock(noonOf(easter), days, w.rng.IntN(1440)).Add(time.Duration(w.rng.IntN(3)-1) * time.Nanosecond)
	case 1:
		special := pick(w, "0101", "0426", "0427", "0504", "0505", "1205", "1224", "1225", "1226", "1231", "0228", "0229", "0327", "1027")
		day, err := time.ParseInLocation("20060102", fmt.Sprint(year, special), dutchZone)
		if err != nil {
			day = time.Date(year, 2, 29, 0, 0, 0, 0, dutchZone)
		}
		return clock(day, 0, pick(w, 0, 9*60, 10*60, 13*60, 14*60, 16*60, 18*60+30, 20*60, 21*60, w.rng.IntN(1440))).Add(time.Duration(w.rng.IntN(3)-1) * time.Nanosecond)
	case 2:
		month, dayOfChange := pick(w, time.March, time.October), 31
		for time.Date(year, month, dayOfChange, 12, 0, 0, 0, dutchZone).Weekday() != time.Sunday {
			dayOfChange--
		}
		return clock(time.Date(year, month, dayOfChange, 12, 0, 0, 0, dutchZone), 0, 0).Add(time.Duration(w.rng.IntN(8*30)) * 2 * time.Minute)
	default:
		return w.when()
	}
}

// pair is a question with facts about it, many of them on the edge; every third is one to which nothing stands in the way
// but the law of bases and a fact or two.
func (w *world) pair() (*Call, []Fact, time.Time) {
	at, call := w.instant(), w.call()
	w.numbers(call)
	facts := w.facts(call, at)
	if w.rng.IntN(3) == 0 {
		at = clock(pick(w, lawOf2026, lawOf2026, at), w.rng.IntN(120)-60, 600+w.rng.IntN(360))
		call.Callee, call.Presentation, call.CallerID = callees[0], 0, ownNumber(slices.Index(w.ids, call.Campaign.Organisation.ID))
		facts = []Fact{w.relationship(call, at)}
	}
	for range w.rng.IntN(3) {
		facts = append(facts, w.likely(call, at)...)
	}
	for _, f := range facts {
		if w.rng.IntN(4) == 0 {
			w.sharpen(f, at, pick(w, append(datesOf(facts), at)...))
		}
	}
	for i, p := range w.rng.Perm(len(facts)) {
		facts[i].Position = uint64(p + 1) //nolint:gosec // small
	}
	return call, append(facts, w.afterwards(facts, at)...), at
}

// afterwards are corrections of objections, some of them of nothing or of no effect, and erasures.
func (w *world) afterwards(facts []Fact, at time.Time) (later []Fact) {
	next := uint64(len(facts) + 1)
	for _, f := range facts {
		if f.Objection != nil && w.rng.IntN(2) == 0 {
			later = append(later, Fact{Position: pick(w, next, next, next, 1), Correction: &Correction{
				Objection: pick(w, f.Position, f.Position, f.Position, f.Position, next, 0), At: w.pastOrOther(facts, at),
				ProposedBy: "a", ApprovedBy: pick(w, "b", "b", "b", "a", ""),
			}})
			next++
		}
	}
	if w.rng.IntN(12) == 0 {
		later = append(later, Fact{Position: next, Erasure: &Erasure{
			At: w.pastOrOther(facts, at), Born: pick(w, Date{}, birthday(at, 16), birthday(at, 18)),
		}})
	}
	return later
}

func (w *world) pastOrOther(facts []Fact, at time.Time) time.Time {
	return pick(w, append(datesOf(facts), w.past(at), w.past(at), at, at.Add(1), at.Add(-1))...)
}

// numbers sometimes takes numbers from everywhere in the plan.
func (w *world) numbers(call *Call) {
	digits := func() string {
		prefix := pick(w, "1", "2", "39", "3", "4", "5", "7", "60", "61", "64", "65", "66", "67", "68", "69", "85", "91", "88", "84", "87", "82", "800",
			"900", "906", "909", "901", "97", "98", "99", "14", "18", "116", "112", "12", "80", "81", "83", "86", "89", "92", "95")
		length := pick(w, 9, 9, 9, 9, 4, 5, 6, 7, 8, 10, 11, 12)
		for len(prefix) < length {
			prefix += string(rune('0' + w.rng.IntN(10)))
		}
		return "+31" + prefix
	}
	if call.CallerID == callers[0] {
		call.CallerID = ownNumber(slices.Index(w.ids, call.Campaign.Organisation.ID))
	}
	if w.rng.IntN(40) == 0 {
		call.CallerID = ownNumber(w.rng.IntN(len(w.ids)))
	}
	if w.rng.IntN(12) == 0 {
		call.Callee = digits()
	}
	if w.rng.IntN(20) == 0 {
		call.CallerID = digits()
	}
	if w.rng.IntN(16) == 0 {
		call.CallerID = pick(w, append(callers, "+318001234567", "+31911234567", "+3197012345678")...)
	}
}

// likely are facts that go a long way towards an answer of their own.
func (w *world) likely(call *Call, at time.Time) []Fact {
	id, product := call.Campaign.Organisation.ID, call.Campaign.Product
	switch w.rng.IntN(6) {
	case 0, 1:
		given := pick(w, at.AddDate(0, 0, -w.rng.IntN(100)), w.edge(at))
		c := &Consent{ID: pick(w, "c1", "c2", "c9"), Organisations: []string{id}, Products: []string{product}, Purposes: []Purpose{call.Campaign.Purpose},
			Person: call.Person, GivenAt: given, Method: Voice, OwnInitiative: w.rng.IntN(2) == 0, Source: "s", Wording: "w",
			Evidence: &Evidence{"u", "h"}, Verified: &Verification{VerifiedByApp, given}, ExpiresAt: w.maybe(at.Add(time.Duration(w.rng.IntN(3)-1)), 6)}
		if c.Person == "" {
			c.Person = "P"
		}
		w.spoil(c)
		return []Fact{{Consent: c}}
	case 2:
		return []Fact{w.relationship(call, at)}
	case 3:
		return []Fact{{Subscriber: w.subscriber(at)}}
	case 4:
		asked := pick(w, w.edge(at), at.Add(-time.Duration(w.rng.IntN(200))*time.Hour))
		return []Fact{{CallRequest: &CallRequest{Organisation: id, Product: product, RequestedAt: asked,
			CallAt: w.maybe(at.Add(pick(w, 15*time.Minute, -15*time.Minute, 0, 9*time.Hour, -9*time.Hour)+time.Duration(w.rng.IntN(3)-1)), 2)}}}
	default:
		var calls []Fact
		for range 1 + w.rng.IntN(9) {
			calls = append(calls, Fact{CallReport: &CallReport{Campaign: pick(w, call.Campaign.ID, call.Campaign.ID, call.Campaign.Organisation.ID+"-a", "gone"),
				At: at.Add(-time.Duration(w.rng.IntN(10)*w.rng.IntN(200)) * time.Hour / 2), Outcome: pick(w, Answered, NoAnswer, Busy, NoAnswer, Abandoned, Failed)}})
		}
		return calls
	}
}

// subscriber is one towards whom more is allowed.
func (w *world) subscriber(at time.Time) *Subscriber {
	return &Subscriber{
		Kind: pick(w, LegalPerson, LegalPerson, SoleTrader, InFormation, UnknownKind), PrivateLine: w.rng.IntN(3) == 0,
		PublishedForUnsolicited: w.rng.IntN(3) == 0, EstablishedIn: pick(w, "", "NL", "NO", "US", "GB"), Since: w.maybe(w.past(at), 2),
		Born: pick(w, Date{}, Date{}, birthday(at, 16), birthday(at, 18), Date{2008, 2, 29}),
	}
}

// birthday is the date on which somebody was born who becomes so old on the date of t.
func birthday(t time.Time, years int) Date {
	y, m, d := after(t, Duration{Months: -12 * years}).In(dutchZone).Date()
	return Date{y, m, d}
}

// relationship is one that the calling organisation may often use.
func (w *world) relationship(call *Call, at time.Time) Fact {
	o := call.Campaign.Organisation
	kind := pick(w, Sale, Sale, Sale, Donation)
	if o.Class == Idealistic {
		kind = pick(w, Donation, Volunteering, Demonstration, Concert, Sale, Petition)
	}
	r := &Relationship{
		Kind: kind, Organisation: o.ID, Product: call.Campaign.Product, StartedAt: at.AddDate(-w.rng.IntN(7), -w.rng.IntN(3), -1),
		EndedAt: w.maybe(pick(w, w.edge(at), at.AddDate(0, -w.rng.IntN(30), 0)), 2), NoObjectionOfferAtCollection: w.rng.IntN(8) == 0,
	}
	switch w.rng.IntN(10) {
	case 0:
		r.NumberSource = pick(w, Enriched, Purchased)
	case 1:
		r.Organisation = pick(w, w.ids...)
	case 2:
		r.Product = pick(w, products...)
	}
	return Fact{Relationship: r}
}

// spoil sometimes takes one thing away from a good consent.
func (w *world) spoil(c *Consent) {
	switch w.rng.IntN(20) {
	case 0:
		c.Organisations = nil
	case 1:
		c.Products = nil
	case 2:
		c.Purposes = []Purpose{PurposeCommercial, PurposeResearch}
	case 3:
		c.Channels = []Channel{Email, Post}
	case 4:
		c.Verified = nil
	case 5:
		c.Wording = ""
	case 6:
		c.Evidence = &Evidence{URI: "", SHA256: "h"}
	case 7:
		c.Person = "Q"
	case 8:
		c.FirstCallWithin = pick(w, lengths...)
	}
}

// sharpen moves a date of a fact to an edge, or to the very moment of another fact.
func (w *world) sharpen(f Fact, at, other time.Time) {
	t := pick(w, w.edge(at), w.edge(at), at, at.Add(-1), at.Add(1), other, other, other)
	switch {
	case f.Subscriber != nil:
		f.Subscriber.Since = t
	case f.Consent != nil && w.rng.IntN(2) == 0:
		f.Consent.ExpiresAt = t
	case f.Consent != nil:
		f.Consent.GivenAt = t
	case f.Withdrawal != nil:
		f.Withdrawal.At = t
	case f.Relationship != nil && w.rng.IntN(2) == 0:
		f.Relationship.EndedAt = t
	case f.Relationship != nil:
		f.Relationship.StartedAt = pick(w, t, lawOf2021, lawOf2021.Add(-1))
	case f.CallRequest != nil:
		f.CallRequest.RequestedAt = t
	case f.Objection != nil:
		f.Objection.At = t
	case f.CallReport != nil:
		f.CallReport.At = t
	case f.ListEntry != nil:
		f.ListEntry.LoadedAt = t
	}
}
