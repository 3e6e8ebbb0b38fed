package eligibility_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/belpoort/belpoort/callerid"
	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
	"github.com/belpoort/belpoort/eligibility/law"
)

// world is a small catalogue in which every rule can be met: several classes, brands, groups, families and policies.
type world struct {
	law  *Law
	cat  *Catalogue
	rng  *rand.Rand
	ids  []string // organisations
	camp []string // campaigns
}

var (
	products = []string{"power", "gas", "paper", "weekend", "gift", "ticket", ""}
	persons  = []string{"", "P", "Q"}
	callers  = []string{"+31201234567", "+31612345678", "+31851234567", "+319001234", "+493012345678", "+31841234567", ""}
	callees  = []string{"+31612345678", "+31612345678", "+31612345678", "+31881234500", "+319001234", "+31671234567", "+5997151234", ""}
	lists    = []string{"ONDERZOEKFILTER", "TPS"}
)

func newWorld(tb testing.TB, seed uint64) *world {
	tb.Helper()
	nl, err := law.NL()
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{law: nl, rng: rand.New(rand.NewPCG(seed, 7))}
	w.cat = &Catalogue{
		Organisations: map[string]*Organisation{}, Campaigns: map[string]*Campaign{},
		Families: map[string][]string{"power": {"energy"}, "gas": {"energy"}, "paper": {"press"}, "weekend": {"press"}},
	}
	for _, o := range []*Organisation{
		{ID: "acme", Class: Commercial, Brand: "acme", Group: "a"},
		{ID: "acme-sister", Class: Commercial, Brand: "acme", Group: "a"},
		{ID: "acme-budget", Class: Commercial, Brand: "budget", Group: "a"},
		{ID: "heart", Class: Idealistic, Brand: "heart", Group: "h"},
		{ID: "lung", Class: Idealistic, Brand: "lung", Group: "h"},
		{ID: "daily", Class: Publisher, IssuesPerYear: 303, Brand: "daily", Group: "d"},
		{ID: "online", Class: Publisher, IssuesPerYear: 52, DigitalOnly: true},
		{ID: "annual", Class: Publisher, IssuesPerYear: 2},
		{ID: "lot", Class: GamblingLicensee, Licence: WOK3},
		{ID: "casino", Class: GamblingLicensee, Licence: WOK31A},
	} {
		w.cat.Organisations[o.ID] = o
		w.ids = append(w.ids, o.ID)
	}
	w.addCampaigns(tb)
	w.addCallerIDs(tb)
	return w
}

var overrides = []map[string]any{
	nil, nil, nil, nil,
	{"require_verified_consent": false, "allow_bundled_channels": true, "consent_max_age": "24 months"},
	{"objection_scope": "BRAND", "reconsent_after_objection": "NEVER", "legal_person_objection": false},
	{"objection_scope": "GROUP", "in_formation_is_natural": false, "private_line_is_natural": false},
	{"pre2021_collection_waiver": true, "relationship_term": "12 months", "allow_donor_automated": true, "digital_only_publisher": true},
	{"demonstration_counts": []any{"DEMONSTRATION", "PETITION", "WEBINAR"}, "request_ttl": "7 days", "request_used_by": []any{"ANSWERED"}},
	{"required_lists": map[string]any{"ONDERZOEKFILTER": map[string]any{"max_age": "31 days"}, "TPS": map[string]any{}}},
	{"hours": "Mon-Sat 00:00-24:00", "holidays": []any{}, "kings_day": "open", "early_close": map[string]any{"05-04": nil}},
	{"hours": "Mon-Fri 10:00-13:00, Mon-Fri 14:00-20:00", "mourning_days": []any{"2026-11-20"}, "liberation_day": "closed", "hours_exempt": []any{}},
	{"max_attempts": map[string]any{"per_day": 1, "per_campaign": 2}, "abandoned_cooldown": "3 days", "minimum_age": 18},
	{"caller_id_foreign": "ALLOW", "caller_id_ranges": map[string]any{"084": "ALLOW", "085": "DENY"}, "caller_id_published_required": false, "state_basis": true},
	{"hours": "Mon-Sun 00:00-24:00", "holidays": []any{}, "kings_day": "open", "early_close": map[string]any{"05-04": nil, "12-05": nil, "12-24": nil, "GOOD_FRIDAY": nil}},
	{"first_call_within": "1 month", "caller_id_test_max_age": "40 days"},
}

func (w *world) addCampaigns(tb testing.TB) {
	for _, id := range w.ids {
		for i, o := range overrides {
			p, err := w.law.Defaults.Override(o)
			if err != nil {
				tb.Fatal(err)
			}
			c := &Campaign{
				ID: id + "-" + string(rune('a'+i)), Organisation: w.cat.Organisations[id], Purpose: pick(w, PurposeCommercial, PurposeCommercial, PurposeIdealistic, PurposeService, PurposeResearch),
				Product: pick(w, products...), Mode: pick(w, Human, Human, Human, Automated), Dialing: pick(w, Predictive, Preview),
				Brand: pick(w, "", "", "budget"), Suspended: w.rng.IntN(15) == 0, Policy: p,
			}
			if w.cat.Organisations[id].Class == Idealistic && w.rng.IntN(3) > 0 {
				c.Purpose, c.Product = PurposeIdealistic, "gift"
			}
			w.cat.Campaigns[c.ID] = c
			w.camp = append(w.camp, c.ID)
		}
	}
}

func (w *world) addCallerIDs(tb testing.TB) {
	var all []callerid.Registration
	for _, id := range w.ids {
		for _, n := range callers[:5] {
			all = append(all, callerid.Registration{
				Number: n, Organisation: id, ValidFrom: time.Date(2020, 1, 1, 0, 0, 0, 0, Amsterdam),
				CallbackTestedAt: time.Date(2026, time.Month(6+w.rng.IntN(5)), 15, 10, 0, 0, 0, Amsterdam), PublishedURL: pick(w, "https://x.example/", "https://y.example/", ""),
			})
		}
	}
	r, err := callerid.NewRegister(all)
	if err != nil {
		tb.Fatal(err)
	}
	w.cat.CallerIDs = r
}

func pick[T any](w *world, from ...T) T { return from[w.rng.IntN(len(from))] }

// when is an instant near the times of interest: the change of law, holidays, the hours of a working day, edges.
func (w *world) when() time.Time {
	base := pick(w,
		time.Date(2026, 11, 18, 14, 0, 0, 0, Amsterdam), time.Date(2026, 11, 18, 14, 0, 0, 0, Amsterdam),
		time.Date(2026, 7, 1, 0, 0, 0, 0, Amsterdam), time.Date(2021, 7, 1, 0, 0, 0, 0, Amsterdam),
		time.Date(2026, 12, 24, 18, 30, 0, 0, Amsterdam), time.Date(2026, 10, 25, 12, 0, 0, 0, Amsterdam), time.Date(2026, 4, 27, 12, 0, 0, 0, Amsterdam))
	switch w.rng.IntN(5) {
	case 0:
		return base.Add(time.Duration(w.rng.IntN(3)-1) * time.Second)
	case 1:
		return base.Add(time.Duration(w.rng.IntN(48*60)-24*60) * time.Minute)
	case 2:
		return base.AddDate(0, -w.rng.IntN(14), 0)
	default:
		return base.AddDate(0, 0, w.rng.IntN(60)-50).Add(time.Duration(w.rng.IntN(12*60)-6*60) * time.Minute)
	}
}

// past is an instant before (seldom after) another.
func (w *world) past(at time.Time) time.Time {
	switch w.rng.IntN(8) {
	case 0:
		return at.Add(time.Duration(w.rng.IntN(60)) * time.Hour)
	case 1:
		return at
	case 2:
		return at.Add(-time.Duration(w.rng.IntN(100)) * time.Hour)
	case 3:
		return at.AddDate(-w.rng.IntN(7), -w.rng.IntN(12), 0)
	default:
		return at.AddDate(0, -w.rng.IntN(14), -w.rng.IntN(30)).Add(-time.Duration(w.rng.IntN(100)) * time.Minute)
	}
}

func (w *world) maybe(t time.Time, oneIn int) time.Time {
	if w.rng.IntN(oneIn) == 0 {
		return t
	}
	return time.Time{}
}

func (w *world) call() *Call {
	c := w.cat.Campaigns[pick(w, w.camp...)]
	call := &Call{Callee: "+31612345678", CallerID: "+31201234567", Campaign: c, Person: pick(w, persons...)}
	if w.rng.IntN(4) == 0 {
		call.Callee, call.CallerID = pick(w, callees...), pick(w, callers...)
	}
	if w.rng.IntN(6) == 0 {
		call.Presentation = pick(w, PresentationAllowed, PresentationRestricted, PresentationUnavailable)
	}
	if w.rng.IntN(6) == 0 {
		call.Mode, call.Dialing = pick(w, Human, Automated), pick(w, Predictive, Preview)
	}
	return call
}

// facts are some facts that often have to do with the call.
func (w *world) facts(call *Call, at time.Time) []Fact {
	var all []Fact
	for range w.rng.IntN(6) {
		f := w.fact(call, at)
		f.Position = uint64(w.rng.IntN(2) * (len(all) + 1)) //nolint:gosec // small
		all = append(all, f)
	}
	return all
}

func (w *world) organisation(call *Call) string {
	if w.rng.IntN(3) > 0 {
		return call.Campaign.Organisation.ID
	}
	return pick(w, w.ids...)
}

func (w *world) product(call *Call) string {
	if w.rng.IntN(3) > 0 {
		return call.Campaign.Product
	}
	return pick(w, products...)
}

func (w *world) fact(call *Call, at time.Time) Fact {
	switch w.rng.IntN(12) {
	case 0:
		return Fact{Subscriber: &Subscriber{
			Kind: pick(w, 0, NaturalPerson, SoleTrader, Partnership, LegalPerson, LegalPerson, InFormation, UnknownKind), PrivateLine: w.rng.IntN(4) == 0,
			PublishedForUnsolicited: w.rng.IntN(4) == 0, EstablishedIn: pick(w, "", "NL", "BE", "US"),
			Born: pick(w, Date{}, Date{}, Date{2010, 11, 18}, Date{2008, 2, 29}, Date{1980, 1, 1}), Since: w.maybe(w.past(at), 2),
		}}
	case 1, 2, 3, 4:
		return Fact{Consent: w.consent(call, at)}
	case 5:
		if w.rng.IntN(2) == 0 {
			return Fact{Withdrawal: &Withdrawal{ConsentID: pick(w, "c1", "c2"), At: w.past(at), Via: ViaWeb}}
		}
		return Fact{Withdrawal: &Withdrawal{Organisation: w.organisation(call), At: w.past(at), Via: ViaWeb}}
	case 6, 7:
		started := w.past(at)
		if w.rng.IntN(4) == 0 {
			started = time.Date(2019+w.rng.IntN(3), time.Month(6+w.rng.IntN(3)), 1, 0, 0, 0, 0, Amsterdam)
		}
		return Fact{Relationship: &Relationship{
			Kind:         pick(w, Sale, Sale, Donation, Donation, Volunteering, Demonstration, Concert, Petition, Webinar, Membership, Quote, FreeTrial, FreeDownload),
			Organisation: w.organisation(call), Product: w.product(call), StartedAt: started, EndedAt: w.maybe(w.past(at).AddDate(-w.rng.IntN(4), 0, 0), 2),
			NumberSource: pick(w, 0, FromSubject, FromSubject, FromSubject, Enriched, Purchased), NoObjectionOfferAtCollection: w.rng.IntN(5) == 0,
		}}
	case 8:
		asked := w.past(at)
		return Fact{CallRequest: &CallRequest{Organisation: w.organisation(call), Product: w.product(call), RequestedAt: asked,
			CallAt: w.maybe(at.Add(time.Duration(w.rng.IntN(120)-60)*time.Minute), 3)}}
	case 9:
		return Fact{Objection: &Objection{Organisation: w.organisation(call), At: w.past(at), Via: ViaIVR,
			Scope: pick(w, 0, ScopeProduct, ScopeOrganisation, ScopeBrand, ScopeGroup), Product: w.product(call)}}
	case 10:
		return Fact{CallReport: &CallReport{Campaign: pick(w, call.Campaign.ID, call.Campaign.ID, pick(w, w.camp...), "gone"), At: w.past(at),
			Outcome: pick(w, Answered, Voicemail, NoAnswer, Busy, Abandoned, Failed)}}
	default:
		return Fact{ListEntry: &ListEntry{List: pick(w, lists...), Since: w.maybe(w.past(at), 2), LoadedAt: pick(w, time.Time{}, w.past(at), at.AddDate(0, 0, -10))}}
	}
}

func (w *world) consent(call *Call, at time.Time) *Consent {
	given := w.past(at)
	c := &Consent{
		ID: pick(w, "c1", "c2", "c3", "c4"), Organisations: []string{w.organisation(call), pick(w, w.ids...)}, Channels: pick(w, nil, []Channel{Phone}, []Channel{Phone, Email}, []Channel{Email}),
		Products: []string{w.product(call), pick(w, products...)}, Purposes: []Purpose{pick(w, call.Campaign.Purpose, call.Campaign.Purpose, PurposeCommercial)},
		Person: pick(w, "P", "P", "P", "Q", ""), GivenAt: w.maybe(given, 1), Method: pick(w, WebForm, WebForm, WebForm, 0), Preticked: w.rng.IntN(12) == 0,
		Bundled: w.rng.IntN(8) == 0, OwnInitiative: w.rng.IntN(2) == 0, Source: pick(w, "s", "s", "s", "s", "s", ""), Wording: "w",
		Evidence:  pick(w, &Evidence{"u", "h"}, &Evidence{"u", "h"}, &Evidence{"u", "h"}, &Evidence{"u", ""}, nil),
		ExpiresAt: w.maybe(w.past(at).AddDate(0, 3, 0), 4), FirstCallWithin: pick(w, Duration{}, Duration{}, Duration{Months: 9}, Duration{Hours: 500}),
	}
	if w.rng.IntN(5) > 0 {
		c.Verified = &Verification{VerifiedBySMS, given.Add(time.Duration(w.rng.IntN(3)) * time.Minute)}
	}
	if w.rng.IntN(20) == 0 {
		c.GivenAt = time.Time{}
	}
	return c
}
