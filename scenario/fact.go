package scenario

import (
	"regexp"
	"slices"
	"strings"

	"github.com/belpoort/belpoort/eligibility"
)

// factKinds are the kinds of fact, as files name them.
var factKinds = []string{"subscriber", "consent", "withdrawal", "relationship", "call_request", "objection", "call", "list_entry"}

// facts reads the facts of files.
type facts struct {
	*reader
	catalogue *Catalogue
	named     map[string]entry // a named fact's only key and its body
}

// names reads the named facts of files.
func (r *facts) names(roots []*value) {
	var written []entry
	for _, root := range roots {
		if root.kind != object {
			continue
		}
		v := r.fields(root).get("facts")
		if v == nil || r.fields(v).v == nil {
			continue
		}
		written = append(written, v.entries...)
	}
	template := &facts{&reader{problems: r.problems, template: true}, r.catalogue, nil}
	for _, e := range written {
		kind := r.kind(e.value)
		if kind != nil && r.first(r.catalogue.known, "fact", e.key, e.value) {
			r.named[e.key] = *kind
			template.body(kind.key, kind.value)
		}
	}
}

// kind is the only key of a fact.
func (r *facts) kind(v *value) *entry {
	if r.fields(v).v == nil {
		return nil
	}
	if len(v.entries) == 1 && slices.Contains(factKinds, v.entries[0].key) {
		return &v.entries[0]
	}
	if len(v.entries) == 1 {
		e := v.entries[0]
		r.problems.add(Problem{v.file, e.line, e.column, v.field(e.key),
			"unknown kind of fact, want one of " + strings.Join(factKinds, ", ")})
		return nil
	}
	r.fail(v, "want one kind of fact, got %d keys", len(v.entries))
	return nil
}

// fact reads one fact of a scenario; the zero fact when it is wrong.
func (r *facts) fact(v *value) eligibility.Fact {
	if v.kind != object || v.find("like") == nil {
		if kind := r.kind(v); kind != nil {
			return r.body(kind.key, kind.value)
		}
		return eligibility.Fact{}
	}
	name := v.find("like").value
	base, ok := r.named[name.text]
	if name.kind != scalar || !ok {
		r.fail(name, "unknown fact %q", name.text)
		return eligibility.Fact{}
	}
	if base.value.kind != object {
		return eligibility.Fact{}
	}
	return r.body(base.key, replaced(base.value, v))
}

// replaced is a named fact's body with the keys that stand beside `like`.
func replaced(base, over *value) *value {
	merged := *over
	merged.entries = nil
	for _, e := range base.entries {
		if over.find(e.key) == nil {
			merged.entries = append(merged.entries, e)
		}
	}
	for _, e := range over.entries {
		if e.key != "like" {
			merged.entries = append(merged.entries, e)
		}
	}
	return &merged
}

func (r *facts) body(kind string, v *value) eligibility.Fact {
	f := r.fields(v)
	if v.kind == null {
		r.fail(v, "want a map, got null")
	}
	switch kind {
	case "subscriber":
		return eligibility.Fact{Subscriber: r.subscriber(f)}
	case "consent":
		return eligibility.Fact{Consent: r.consent(f)}
	case "withdrawal":
		return eligibility.Fact{Withdrawal: r.withdrawal(f)}
	case "relationship":
		return eligibility.Fact{Relationship: r.relationship(f)}
	case "call_request":
		return eligibility.Fact{CallRequest: r.callRequest(f)}
	case "objection":
		return eligibility.Fact{Objection: r.objection(f)}
	case "call":
		return eligibility.Fact{CallReport: r.call(f)}
	default:
		return eligibility.Fact{ListEntry: r.listEntry(f)}
	}
}

var (
	sha256Form  = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	countryForm = regexp.MustCompile(`^[A-Z]{2}$`)
)

func (r *facts) subscriber(f *fields) *eligibility.Subscriber {
	s := &eligibility.Subscriber{
		Kind:                    word(f, "kind", eligibility.UnknownKind),
		PrivateLine:             f.flag("private_line", false),
		PublishedForUnsolicited: f.flag("published_for_unsolicited", false),
		EstablishedIn:           f.matching("established_in", countryForm, "a country like NL"),
		Born:                    f.date("born"),
		Since:                   f.time("since"),
	}
	f.done()
	return s
}

func (r *facts) consent(f *fields) *eligibility.Consent {
	c := &eligibility.Consent{
		ID:              f.id("id"),
		Organisations:   r.organisationsOf(f, "organisations"),
		Channels:        words[eligibility.Channel](f, "channels"),
		Products:        f.ids("products"),
		Purposes:        words[eligibility.Purpose](f, "purposes"),
		Person:          f.text("person"),
		GivenAt:         f.time("given_at"),
		Method:          word[eligibility.ConsentMethod](f, "method", 0),
		Preticked:       !f.flag("active_act", true),
		Bundled:         f.flag("bundled", false),
		OwnInitiative:   f.flag("own_initiative", false),
		Source:          f.text("source"),
		Wording:         f.text("wording"),
		Evidence:        r.evidence(f.get("evidence")),
		Verified:        r.verification(f.get("verified")),
		ExpiresAt:       f.time("expires_at"),
		FirstCallWithin: f.duration("first_call_within"),
	}
	f.done("id")
	return c
}

func (r *facts) organisationsOf(f *fields, key string) []string {
	for _, item := range f.items(key) {
		r.catalogue.exists(r.reader, "organisation", item)
	}
	return f.ids(key)
}

func (r *facts) evidence(v *value) *eligibility.Evidence {
	if v == nil {
		return nil
	}
	f := r.fields(v)
	e := &eligibility.Evidence{
		URI:    f.text("uri"),
		SHA256: f.matching("sha256", sha256Form, "64 hexadecimal digits"),
	}
	f.done()
	return e
}

func (r *facts) verification(v *value) *eligibility.Verification {
	if v == nil {
		return nil
	}
	f := r.fields(v)
	c := &eligibility.Verification{
		Method: word[eligibility.VerificationMethod](f, "method", 0),
		At:     f.time("at"),
	}
	f.done("method", "at")
	return c
}

func (r *facts) withdrawal(f *fields) *eligibility.Withdrawal {
	w := &eligibility.Withdrawal{
		ConsentID:    f.id("consent"),
		Organisation: r.catalogue.reference(f, "organisation", "organisation"),
		At:           f.time("at"),
		Via:          word[eligibility.Via](f, "via", 0),
	}
	f.done("at")
	if f.v != nil && !r.template && (f.get("consent") == nil) == (f.get("organisation") == nil) {
		r.fail(f.v, "want either consent or organisation")
	}
	return w
}

func (r *facts) relationship(f *fields) *eligibility.Relationship {
	s := &eligibility.Relationship{
		Kind:                         word[eligibility.RelationshipKind](f, "kind", 0),
		Organisation:                 r.catalogue.reference(f, "organisation", "organisation"),
		Product:                      f.text("product"),
		StartedAt:                    f.time("started_at"),
		EndedAt:                      f.time("ended_at"),
		NumberSource:                 word(f, "number_from", eligibility.FromSubject),
		NoObjectionOfferAtCollection: !f.flag("objection_offered_at_collection", true),
	}
	f.done("kind", "organisation", "started_at")
	return s
}

func (r *facts) callRequest(f *fields) *eligibility.CallRequest {
	c := &eligibility.CallRequest{
		Organisation: r.catalogue.reference(f, "organisation", "organisation"),
		Product:      f.text("product"),
		RequestedAt:  f.time("requested_at"),
		CallAt:       f.time("call_at"),
		Source:       f.text("source"),
		Evidence:     r.evidence(f.get("evidence")),
	}
	f.done("organisation", "product", "requested_at")
	return c
}

func (r *facts) objection(f *fields) *eligibility.Objection {
	o := &eligibility.Objection{
		Organisation: r.catalogue.reference(f, "organisation", "organisation"),
		At:           f.time("at"),
		Via:          word[eligibility.Via](f, "via", 0),
		Scope:        word(f, "scope", eligibility.ScopeOrganisation),
		Product:      f.text("product"),
		By:           word(f, "by", eligibility.BySubscriber),
	}
	f.done("organisation", "at")
	narrowed := o.Scope == eligibility.ScopeProduct
	switch {
	case f.v == nil || r.template || narrowed == (o.Product != "") || o.Scope == 0:
	case narrowed:
		f.missing("product")
	default:
		r.fail(f.get("product"), "is for scope PRODUCT only")
	}
	return o
}

func (r *facts) call(f *fields) *eligibility.CallReport {
	c := &eligibility.CallReport{
		Campaign:         r.catalogue.reference(f, "campaign", "campaign"),
		At:               f.time("at"),
		Outcome:          word[eligibility.Outcome](f, "outcome", 0),
		ObjectionOffered: f.flag("objection_offered", false),
	}
	f.done("campaign", "at", "outcome")
	return c
}

func (r *facts) listEntry(f *fields) *eligibility.ListEntry {
	l := &eligibility.ListEntry{List: f.id("list"), Since: f.time("since"), LoadedAt: f.time("list_loaded_at")}
	f.done("list")
	return l
}
