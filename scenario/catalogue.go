package scenario

import (
	"slices"

	"github.com/belpoort/belpoort/callerid"
	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/telephony"
)

// Catalogue is what files say about who calls, for what, under which numbers, with the settings that they choose.
// Slices stand in the files' order. It is not changed after loading.
type Catalogue struct {
	Organisations []eligibility.Organisation
	CallerIDs     []callerid.Registration
	Campaigns     []Campaign
	Families      []Family
	Canaries      []Canary
	Menus         []Menu
	// Policy holds the settings for every campaign, before its own: bool, int, float64, string, nil, []any, map[string]any.
	Policy map[string]any

	policy    *value
	callerIDs []*value
	known     map[string]*value // where an organisation, campaign or family was written first, by kind and id
}

// Campaign is a campaign as a file writes it.
type Campaign struct {
	ID           string
	Organisation string // the id of one of the catalogue's
	Purpose      eligibility.Purpose
	Product      string
	Mode         eligibility.Mode
	Dialing      eligibility.Dialing
	Brand        string // "": the organisation's
	Suspended    bool
	Policy       map[string]any // the settings that it overrides, as in Catalogue

	policy *value
}

// Family is a set of products that count as similar.
type Family struct {
	ID       string
	Products []string
}

// Canary is a number on which objections are drilled.
type Canary struct {
	Number, CallerID string // canonical E.164
	Campaign         string // the id of one of the catalogue's
}

// Menu is a menu of an IVR in which the right of objection is offered.
type Menu struct {
	ID           string
	Organisation string // the id of one of the catalogue's
	Digits       []Digit
}

// Digit is what a digit means in a menu: a word alone, or with the product to which the menu's words narrow the objection.
type Digit struct {
	Digit, Meaning, Product, Spoken string
}

// LoadCatalogue reads a file that holds a catalogue, a policy for all its campaigns, and nothing else, with its includes.
// The error is a *Problems.
func LoadCatalogue(path string) (*Catalogue, error) {
	problems := &Problems{}
	return onlyCatalogue(gather(path, problems), problems)
}

// ParseCatalogue is LoadCatalogue for a file in memory, which may include nothing. The name stands in errors.
func ParseCatalogue(name string, data []byte) (*Catalogue, error) {
	problems := &Problems{}
	return onlyCatalogue(gatherBytes(name, data, problems), problems)
}

func onlyCatalogue(roots []*value, problems *Problems) (*Catalogue, error) {
	if err := problems.err(); err != nil {
		return nil, err
	}
	r := &reader{problems: problems}
	var found bool
	for _, root := range roots {
		f := r.fields(root)
		f.get("include")
		f.get("policy")
		found = f.get("catalogue") != nil || found
		f.done()
	}
	if last := r.fields(roots[len(roots)-1]); !found && last.v != nil {
		last.get("catalogue")
		last.missing("catalogue")
	}
	c := r.catalogue(roots)
	if err := problems.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// catalogue adds up the catalogues of files.
func (r *reader) catalogue(roots []*value) *Catalogue {
	c := &Catalogue{known: make(map[string]*value)}
	var parts []*fields
	for _, root := range roots {
		if root.kind != object {
			continue
		}
		top := r.fields(root)
		if policy := top.get("policy"); policy != nil && r.fields(policy).v != nil {
			c.policy = laidOver(c.policy, policy)
		}
		if v := top.get("catalogue"); v != nil {
			parts = append(parts, r.fields(v))
		}
	}
	for _, f := range parts {
		r.organisations(c, f.items("organisations"))
	}
	for _, f := range parts {
		r.callerIDs(c, f.items("caller_ids"))
		r.campaigns(c, f.items("campaigns"))
		r.families(c, f.get("product_families"))
		r.canaries(c, f.items("canaries"))
		r.menus(c, f.items("ivr_menus"))
		f.done()
	}
	if c.policy != nil {
		c.Policy = c.policy.plain().(map[string]any)
	}
	r.register(c)
	return c
}

// laidOver is a map of settings with another laid over it; maps merge per key.
func laidOver(under, over *value) *value {
	if under == nil || under.kind != object || over.kind != object {
		return over
	}
	merged := *over
	merged.entries = slices.Clone(under.entries)
	for _, e := range over.entries {
		if was := merged.find(e.key); was != nil {
			*was = entry{e.key, e.line, e.column, laidOver(was.value, e.value)}
		} else {
			merged.entries = append(merged.entries, e)
		}
	}
	return &merged
}

// first reports whether an id is new, and complains when it is not.
func (r *reader) first(known map[string]*value, what, id string, at *value) bool {
	if id == "" {
		return false
	}
	was, duplicate := known[what+" "+id]
	if duplicate {
		r.fail(at, "duplicate %s %q, first in %s:%d", what, id, was.file, was.line)
		return false
	}
	known[what+" "+id] = at
	return true
}

// reference complains about an id that nothing has.
func (c *Catalogue) reference(f *fields, what, key string) string {
	id := f.id(key)
	if v := f.get(key); v != nil && id != "" {
		c.exists(f.r, what, v)
	}
	return id
}

func (c *Catalogue) exists(r *reader, what string, v *value) {
	if v.kind == scalar && c.known[what+" "+v.text] == nil {
		r.fail(v, "unknown %s %q", what, v.text)
	}
}

func (r *reader) organisations(c *Catalogue, items []*value) {
	for _, item := range items {
		f := r.fields(item)
		o := eligibility.Organisation{
			ID:            f.id("id"),
			LegalName:     f.text("legal_name"),
			Class:         word[eligibility.OrganisationClass](f, "class", 0),
			IssuesPerYear: f.number("issues_per_year", 1000),
			Brand:         f.text("brand"),
			Group:         f.text("group"),
			DigitalOnly:   f.flag("digital_only", false),
		}
		if v := f.scalar("licence"); v != nil && v.text != "" {
			o.Licence = wordOf[eligibility.Licence](r, v)
		}
		f.done("id", "class")
		r.classOnly(f, "licence", o.Licence != 0, o.Class, eligibility.GamblingLicensee)
		r.classOnly(f, "issues_per_year", o.IssuesPerYear != 0, o.Class, eligibility.Publisher)
		r.classOnly(f, "digital_only", o.DigitalOnly, o.Class, eligibility.Publisher)
		if r.first(c.known, "organisation", o.ID, f.get("id")) {
			c.Organisations = append(c.Organisations, o)
		}
	}
}

// classOnly complains about a key that is set for the wrong class of organisation.
func (r *reader) classOnly(f *fields, key string, set bool, class, want eligibility.OrganisationClass) {
	if set && class != 0 && class != want {
		r.fail(f.get(key), "is for class %v only", want)
	}
}

func (r *reader) callerIDs(c *Catalogue, items []*value) {
	for _, item := range items {
		f := r.fields(item)
		g := callerid.Registration{
			Number:           r.number(f, "number"),
			Organisation:     c.reference(f, "organisation", "organisation"),
			ValidFrom:        f.time("valid_from"),
			ValidUntil:       f.time("valid_until"),
			CallbackTestedAt: f.time("callback_tested_at"),
			PublishedURL:     f.text("published_url"),
		}
		f.done("number", "organisation")
		if g.Number != "" && g.Organisation != "" {
			c.CallerIDs = append(c.CallerIDs, g)
			c.callerIDs = append(c.callerIDs, item)
		}
	}
}

// number is a key's telephone number in canonical form. The problem does not repeat the number.
func (r *reader) number(f *fields, key string) string {
	v := f.scalar(key)
	if v == nil {
		return ""
	}
	n, err := telephony.Canonical(v.text)
	if err != nil {
		r.fail(v, "is not a telephone number")
		return ""
	}
	return n.E164()
}

func (r *reader) campaigns(c *Catalogue, items []*value) {
	for _, item := range items {
		f := r.fields(item)
		m := Campaign{
			ID:           f.id("id"),
			Organisation: c.reference(f, "organisation", "organisation"),
			Purpose:      word[eligibility.Purpose](f, "purpose", 0),
			Product:      f.id("product"),
			Mode:         word[eligibility.Mode](f, "mode", 0),
			Dialing:      word[eligibility.Dialing](f, "dialing", 0),
			Brand:        f.text("brand"),
			Suspended:    f.flag("suspended", false),
		}
		if v := f.get("policy"); v != nil && r.fields(v).v != nil {
			m.policy, m.Policy = v, v.plain().(map[string]any)
		}
		f.done("id", "organisation", "purpose", "product", "mode", "dialing")
		if r.first(c.known, "campaign", m.ID, f.get("id")) {
			c.Campaigns = append(c.Campaigns, m)
		}
	}
}

func (r *reader) canaries(c *Catalogue, items []*value) {
	for _, item := range items {
		f := r.fields(item)
		canary := Canary{Number: r.number(f, "number"), CallerID: r.number(f, "caller_id"), Campaign: c.reference(f, "campaign", "campaign")}
		f.done("number", "caller_id", "campaign")
		c.Canaries = append(c.Canaries, canary)
	}
}

func (r *reader) families(c *Catalogue, v *value) {
	if v == nil {
		return
	}
	f := r.fields(v)
	if f.v == nil {
		return
	}
	for _, e := range v.entries {
		family := Family{ID: e.key, Products: f.ids(e.key)}
		if r.first(c.known, "product family", e.key, e.value) {
			c.Families = append(c.Families, family)
		}
	}
}

// meanings are what a digit can mean.
var meanings = []string{"OBJECT", "NOT_OBJECTED", "REPEAT"}

func (r *reader) menus(c *Catalogue, items []*value) {
	for _, item := range items {
		f := r.fields(item)
		m := Menu{ID: f.id("id"), Organisation: c.reference(f, "organisation", "organisation")}
		if digits := r.fields(f.get("digits")); digits.v != nil {
			for _, e := range digits.v.entries {
				m.Digits = append(m.Digits, r.digit(e))
			}
		}
		f.done("id", "organisation", "digits")
		if r.first(c.known, "IVR menu", m.ID, f.get("id")) {
			c.Menus = append(c.Menus, m)
		}
	}
}

func (r *reader) digit(e entry) Digit {
	d := Digit{Digit: e.key}
	meaning := e.value
	if e.value.kind == object {
		f := r.fields(e.value)
		meaning, d.Product, d.Spoken = f.scalar("meaning"), f.text("product"), f.text("spoken")
		f.done("meaning")
	}
	if meaning == nil {
		return d
	}
	if meaning.kind != scalar || !slices.Contains(meanings, meaning.text) {
		r.fail(meaning, "want one of %v", meanings)
	}
	d.Meaning = meaning.text
	return d
}
