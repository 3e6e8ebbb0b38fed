package record

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/telephony"
)

// Registration is a caller ID as the catalogue lists it.
type Registration struct {
	Number           string // canonical E.164
	Organisation     string
	ValidFrom        time.Time // zero: always
	ValidUntil       time.Time // exclusive; zero: for ever
	CallbackTestedAt time.Time // zero: never
	PublishedURL     string    // "": nowhere
}

// NewRegister makes the register that answers for a catalogue's caller IDs. Registrations stand in the catalogue's order;
// an error should be a *FieldError with its whole path.
type NewRegister func([]Registration) (eligibility.CallerIDRegister, error)

// CatalogueFromProto reads a catalogue and checks all of it: words, limits, references, settings. The first thing that is
// wrong is a *FieldError whose path begins with "catalogue". The catalogue's position is left to the caller.
func CatalogueFromProto(m *belpoortv1.Catalogue, law *eligibility.Law, register NewRegister) (*eligibility.Catalogue, error) {
	r := &catalogueReader{law: law, cat: &eligibility.Catalogue{
		Organisations: map[string]*eligibility.Organisation{},
		Campaigns:     map[string]*eligibility.Campaign{},
		Families:      map[string][]string{},
	}}
	if m == nil {
		r.fail("catalogue", "is missing")
		return nil, r.result()
	}
	r.known("catalogue", m)
	r.organisations(m.GetOrganisations())
	registrations := r.callerIDs(m.GetCallerIds())
	r.policy = r.settings("catalogue.policy", &law.Defaults, m.GetPolicy())
	r.campaigns(m.GetCampaigns())
	r.families(m.GetProductFamilies())
	r.canaries(m.GetCanaries())
	r.menus(m.GetIvrMenus())
	if err := r.result(); err != nil {
		return nil, err
	}
	var err error
	if r.cat.CallerIDs, err = register(registrations); err != nil {
		var field *FieldError
		if errors.As(err, &field) {
			return nil, field
		}
		return nil, &FieldError{"catalogue.caller_ids", err.Error()}
	}
	return r.cat, nil
}

type catalogueReader struct {
	check
	law    *eligibility.Law
	policy *eligibility.Policy
	cat    *eligibility.Catalogue
}

func (r *catalogueReader) organisations(list []*belpoortv1.Organisation) {
	for i, m := range list {
		at := fmt.Sprintf("catalogue.organisations[%d]", i)
		r.known(at, m)
		o := &eligibility.Organisation{
			ID:            r.nameID(at+".id", m.GetId()),
			LegalName:     r.id(at+".legal_name", m.GetLegalName()),
			Class:         wordGiven[eligibility.OrganisationClass](&r.check, at+".class", m.GetClass()),
			Licence:       word[eligibility.Licence](&r.check, at+".licence", m.GetLicence()),
			IssuesPerYear: int(m.GetIssuesPerYear()),
			Brand:         r.text(at+".brand", m.GetBrand(), MaxText),
			Group:         r.text(at+".group", m.GetGroup(), MaxText),
			DigitalOnly:   m.GetDigitalOnly(),
		}
		r.organisation(at, o)
		if r.cat.Organisations[o.ID] != nil {
			r.fail(at+".id", "is the same as an earlier one's: %q", o.ID)
		}
		r.cat.Organisations[o.ID] = o
	}
}

// organisation checks what only one class of organisation has.
func (r *catalogueReader) organisation(at string, o *eligibility.Organisation) {
	if o.Licence != 0 && o.Class != eligibility.GamblingLicensee {
		r.fail(at+".licence", "goes only with the class GAMBLING_LICENSEE")
	}
	if o.IssuesPerYear != 0 && o.Class != eligibility.Publisher {
		r.fail(at+".issues_per_year", "goes only with the class PUBLISHER")
	}
	if o.IssuesPerYear < 0 || o.IssuesPerYear > 1000 {
		r.fail(at+".issues_per_year", "must be 0 to 1,000")
	}
	if o.DigitalOnly && o.Class != eligibility.Publisher {
		r.fail(at+".digital_only", "goes only with the class PUBLISHER")
	}
}

func (r *catalogueReader) callerIDs(list []*belpoortv1.CallerId) []Registration {
	var out []Registration
	for i, m := range list {
		at := fmt.Sprintf("catalogue.caller_ids[%d]", i)
		r.known(at, m)
		number, err := telephony.Canonical(m.GetNumber())
		if err != nil {
			r.fail(at+".number", "is not a telephone number")
			continue
		}
		g := Registration{
			Number:           number.E164(),
			Organisation:     r.listedOrganisation(at+".organisation", m.GetOrganisation()),
			ValidFrom:        r.moment(at+".valid_from_time", m.GetValidFromTime()),
			ValidUntil:       r.moment(at+".valid_until_time", m.GetValidUntilTime()),
			CallbackTestedAt: r.moment(at+".callback_test_time", m.GetCallbackTestTime()),
			PublishedURL:     r.webAddress(at+".published_url", m.GetPublishedUrl()),
		}
		if !g.ValidUntil.IsZero() && !g.ValidFrom.Before(g.ValidUntil) {
			r.fail(at+".valid_until_time", "must be later than valid_from_time")
		}
		out = append(out, g)
	}
	return out
}

func (r *catalogueReader) campaigns(list []*belpoortv1.Campaign) {
	for i, m := range list {
		at := fmt.Sprintf("catalogue.campaigns[%d]", i)
		r.known(at, m)
		c := &eligibility.Campaign{
			ID:           r.nameID(at+".id", m.GetId()),
			Organisation: r.cat.Organisations[r.listedOrganisation(at+".organisation", m.GetOrganisation())],
			Purpose:      wordGiven[eligibility.Purpose](&r.check, at+".purpose", m.GetPurpose()),
			Product:      r.text(at+".product", m.GetProduct(), MaxText),
			Mode:         wordGiven[eligibility.Mode](&r.check, at+".mode", m.GetMode()),
			Dialing:      wordGiven[eligibility.Dialing](&r.check, at+".dialing", m.GetDialing()),
			Brand:        r.text(at+".brand", m.GetBrand(), MaxText),
			Suspended:    m.GetSuspended(),
			Policy:       r.settings(at+".policy", r.policy, m.GetPolicy()),
		}
		if r.cat.Campaigns[c.ID] != nil {
			r.fail(at+".id", "is the same as an earlier one's: %q", c.ID)
		}
		r.cat.Campaigns[c.ID] = c
	}
}

func (r *catalogueReader) families(list []*belpoortv1.ProductFamily) {
	seen := map[string]bool{}
	for i, m := range list {
		at := fmt.Sprintf("catalogue.product_families[%d]", i)
		r.known(at, m)
		id := r.id(at+".id", m.GetId())
		if seen[id] {
			r.fail(at+".id", "is the same as an earlier one's: %q", id)
		}
		seen[id] = true
		if len(m.GetProducts()) == 0 {
			r.fail(at+".products", "is empty")
		}
		r.family(at, id, m.GetProducts())
	}
}

func (r *catalogueReader) family(at, id string, products []string) {
	seen := map[string]bool{}
	for i, p := range products {
		field := fmt.Sprintf("%s.products[%d]", at, i)
		if p == "" {
			r.fail(field, "is empty")
		}
		if seen[p] {
			r.fail(field, "is the same as an earlier one: %q", p)
		}
		seen[p] = true
		r.text(field, p, MaxText)
		r.cat.Families[p] = append(r.cat.Families[p], id)
	}
}

// maxCanaries bounds the numbers on which objections are drilled.
const maxCanaries = 16

func (r *catalogueReader) canaries(list []*belpoortv1.Canary) {
	if len(list) > maxCanaries {
		r.fail("catalogue.canaries", "are more than %d", maxCanaries)
	}
	seen := map[string]bool{}
	for i, m := range list {
		at := fmt.Sprintf("catalogue.canaries[%d]", i)
		r.known(at, m)
		number, err := telephony.Canonical(m.GetNumber())
		if err != nil {
			r.fail(at+".number", "is not a telephone number")
		} else if seen[number.E164()] {
			r.fail(at+".number", "is the same as an earlier one's")
		}
		seen[number.E164()] = true
		if _, err := telephony.Canonical(m.GetCallerId()); err != nil {
			r.fail(at+".caller_id", "is not a telephone number")
		}
		if r.cat.Campaigns[m.GetCampaign()] == nil {
			r.fail(at+".campaign", "names a campaign that the catalogue does not have")
		}
	}
}

// settings lays settings over a policy.
func (r *catalogueReader) settings(at string, base *eligibility.Policy, m *structpb.Struct) *eligibility.Policy {
	if len(m.GetFields()) == 0 || base == nil {
		return base
	}
	p, err := base.Override(m.AsMap())
	var setting *eligibility.SettingError
	switch {
	case errors.As(err, &setting):
		r.fail(at+"."+setting.Setting, "%s", setting.Problem)
	case err != nil:
		r.fail(at, "%s", err.Error())
	}
	return p
}

// nameID is an id that people type: lower-case letters, digits and hyphens.
func (r *catalogueReader) nameID(field, s string) string {
	if !IsName(s) {
		r.fail(field, "must be 1 to %d lower-case letters, digits and hyphens", maxNameID)
	}
	return s
}

// IsName reports whether s could be the id of an organisation or a campaign: 1 to 64 lower-case letters, digits, hyphens.
func IsName(s string) bool {
	if s == "" || len(s) > maxNameID {
		return false
	}
	for i := range len(s) {
		if b := s[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' {
			return false
		}
	}
	return true
}

func (r *catalogueReader) listedOrganisation(field, id string) string {
	switch {
	case id == "":
		r.fail(field, "is missing")
	case r.cat.Organisations[id] == nil:
		r.fail(field, "names an organisation that the catalogue does not have")
	}
	return id
}

func (r *catalogueReader) webAddress(field, s string) string {
	r.text(field, s, MaxURI)
	if s == "" {
		return s
	}
	if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		r.fail(field, "must be a web address that begins with https:// or http://")
	}
	return s
}
