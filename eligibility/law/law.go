// Package law holds the law as dated data, one file a jurisdiction, and reads such files.
//
// It knows the files' form and nothing of how they are applied: that is the room eligibility.
package law

import (
	"crypto/sha256"
	_ "embed" // the Dutch law
	"encoding/hex"
	"fmt"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

//go:embed nl.yaml
var nl []byte

// NL is the Dutch law as this version of Belpoort knows it.
func NL() (*eligibility.Law, error) { return Parse("nl.yaml", nl) }

// Parse reads a law file whole. Errors name the file, the line and the key; name is the file's name in them.
func Parse(name string, data []byte) (*eligibility.Law, error) {
	r := &reader{file: name}
	root, err := r.root(data)
	if err != nil {
		return nil, err
	}
	l := &eligibility.Law{Version: Version(data)}
	top := r.mapping(root, "", "jurisdiction", "calling_code", "regimes", "ranges", "eea", "settings")
	l.Jurisdiction = top.text("jurisdiction")
	l.CallingCode = top.text("calling_code")
	for _, n := range top.list("regimes") {
		l.Regimes = append(l.Regimes, r.regime(n))
	}
	r.checkRegimes(top, l.Regimes)
	var ranges []eligibility.Range
	for _, n := range top.list("ranges") {
		ranges = append(ranges, r.numberRange(n, l.CallingCode))
	}
	l.Plan = eligibility.NewPlan(l.CallingCode, ranges)
	l.EEA = map[string]bool{}
	for _, n := range top.list("eea") {
		l.EEA[n.Value] = true
	}
	l.Sources = r.settings(top, &l.Defaults)
	if r.err != nil {
		return nil, r.err
	}
	return l, nil
}

// Version names a law file by its content: the first 16 hexadecimal characters of its SHA-256.
func Version(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

func (r *reader) regime(n *node) eligibility.Regime {
	m := r.mapping(n, "regimes", "id", "from", "until", "source", "confidence", "articles", "relationships")
	m.sourced()
	a := r.mapping(m.need("articles"), "articles", "consent", "consent_automated", "requested", "published", "outside_eea",
		"legal_person", "caller_id", "objection")
	g := eligibility.Regime{
		ID: m.text("id"), Source: m.text("source"), From: m.instant("from"), Until: eligibility.Never,
		Consent: a.text("consent"), ConsentAutomated: a.text("consent_automated"), Requested: a.text("requested"),
		Published: a.text("published"), OutsideEEA: a.text("outside_eea"), LegalPerson: a.text("legal_person"),
		CallerID: a.text("caller_id"), Objection: a.text("objection"),
	}
	if m.has("until") {
		g.Until = m.instant("until")
	}
	if len(m.list("relationships")) > eligibility.MaxRelationships {
		r.fail(n, "regimes.relationships", fmt.Sprintf("more than %d", eligibility.MaxRelationships))
	}
	for _, rel := range m.list("relationships") {
		g.Relationships = append(g.Relationships, r.relationship(rel))
	}
	return g
}

func (r *reader) checkRegimes(top *mapping, regimes []eligibility.Regime) {
	nodes := top.list("regimes")
	if len(regimes) == 0 {
		r.fail(top.node, "regimes", "a law needs at least one regime")
	}
	for i, g := range regimes {
		if g.From >= g.Until {
			r.fail(nodes[i], "regimes", fmt.Sprintf("%s ends before it begins", g.ID))
		}
		if i > 0 && regimes[i-1].Until > g.From {
			r.fail(nodes[i], "regimes", fmt.Sprintf("%s overlaps %s", g.ID, regimes[i-1].ID))
		}
	}
}

func (r *reader) relationship(n *node) eligibility.RelationshipBasis {
	m := r.mapping(n, "relationships", "reason", "article", "kinds", "classes", "licences", "issues_per_year",
		"similar_products", "own_purpose", "automated", "collection_offer_waived_before", "waiver", "source", "confidence")
	m.sourced()
	b := eligibility.RelationshipBasis{
		Reason: word[eligibility.Reason](m, "reason"), Article: m.text("article"), Source: m.text("source"), IssuesPerYear: m.whole("issues_per_year"),
		Similar: m.flag("similar_products"), OwnPurpose: m.flag("own_purpose"),
		AutomatedByPolicy: m.bySetting("automated"), WaiverByPolicy: m.bySetting("waiver"),
		Classes: words[eligibility.OrganisationClass](m, "classes"), Licences: words[eligibility.Licence](m, "licences"),
	}
	if m.has("collection_offer_waived_before") {
		b.WaivedBefore = m.instant("collection_offer_waived_before")
	}
	if m.need("kinds").Value == bySetting {
		b.ByPolicy = true
		return b
	}
	for _, k := range words[eligibility.RelationshipKind](m, "kinds") {
		b.Kinds = b.Kinds.With(k)
	}
	return b
}

func (r *reader) numberRange(n *node, callingCode string) eligibility.Range {
	m := r.mapping(n, "ranges", "prefix", "digits", "callee", "caller_id", "use", "source", "confidence")
	m.sourced()
	g := eligibility.Range{Prefix: m.text("prefix"), Callee: m.use("callee"), CallerID: m.use("caller_id"), Source: m.text("source")}
	if g.Prefix != "" && g.Prefix[0] == '0' {
		g.Prefix = callingCode + g.Prefix[1:]
	}
	if len(g.Prefix) <= len(callingCode) || g.Prefix[:len(callingCode)] != callingCode {
		r.fail(n, "ranges.prefix", "want a national prefix such as \"061\" or one in E.164")
	}
	for _, d := range m.list("digits") {
		length := r.wholeOf(d, "ranges.digits")
		if length < 3 || length > 15-len(callingCode)+1 {
			r.fail(d, "ranges.digits", "want 3 to 13 digits")
			continue
		}
		g.Lengths |= 1 << length
	}
	return g
}

// settings reads the defaults of the policy settings, and gives the source of each.
func (r *reader) settings(top *mapping, defaults *eligibility.Policy) map[string]string {
	all := r.mapping(top.need("settings"), "settings", eligibility.Settings()...)
	values, sources := map[string]any{}, map[string]string{}
	for _, name := range eligibility.Settings() {
		m := r.mapping(all.need(name), "settings."+name, "default", "source", "confidence", "meaning")
		m.sourced()
		m.text("meaning")
		values[name], sources[name] = r.plain(m.need("default")), m.text("source")
	}
	if r.err != nil {
		return nil
	}
	p, err := defaults.Override(values)
	if err != nil {
		r.failSetting(all, err)
		return nil
	}
	*defaults = *p
	return sources
}

func (m *mapping) instant(key string) eligibility.Instant {
	n := m.need(key)
	t, err := time.Parse(time.RFC3339Nano, n.Value)
	if err != nil {
		m.r.fail(n, m.path+"."+key, fmt.Sprintf("%q is not a time like 2026-07-01T00:00:00+02:00", n.Value))
		return 0
	}
	return eligibility.InstantOf(t, 0)
}
