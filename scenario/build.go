package scenario

import (
	"errors"
	"fmt"
	"strings"

	"github.com/belpoort/belpoort/callerid"
	"github.com/belpoort/belpoort/eligibility"
)

// register tells what is wrong with the caller IDs as a whole.
func (r *reader) register(c *Catalogue) {
	if _, err := callerid.NewRegister(c.CallerIDs); err != nil {
		r.registerProblems(c, err)
	}
}

// registerProblems finds the places of a register's errors.
func (r *reader) registerProblems(c *Catalogue, err error) {
	all := []error{err}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		all = joined.Unwrap()
	}
	for _, err := range all {
		var wrong *callerid.RegistrationError
		if !errors.As(err, &wrong) {
			r.problems.add(Problem{Text: err.Error()})
			continue
		}
		at := c.callerIDs[wrong.Index]
		if e := at.find(wrong.Field); e != nil {
			at = e.value
		}
		r.fail(at, "%s", wrong.Problem)
	}
}

// Build makes the engine's catalogue: each campaign's policy is the law's defaults, overridden by the files' policy,
// overridden by its own. A wrong setting is told with its place in the file; the error is a *Problems.
func (c *Catalogue) Build(law *eligibility.Law) (*eligibility.Catalogue, error) {
	r := &reader{problems: &Problems{}}
	register, err := callerid.NewRegister(c.CallerIDs)
	if err != nil {
		r.registerProblems(c, err)
	}
	built := &eligibility.Catalogue{
		Organisations: make(map[string]*eligibility.Organisation, len(c.Organisations)),
		Campaigns:     make(map[string]*eligibility.Campaign, len(c.Campaigns)),
		Families:      make(map[string][]string),
		CallerIDs:     register,
	}
	for _, o := range c.Organisations {
		built.Organisations[o.ID] = &o
	}
	for _, family := range c.Families {
		for _, product := range family.Products {
			built.Families[product] = append(built.Families[product], family.ID)
		}
	}
	shared := r.override(&law.Defaults, c.Policy, c.policy)
	for _, m := range c.Campaigns {
		built.Campaigns[m.ID] = m.built(built.Organisations[m.Organisation], r.override(shared, m.Policy, m.policy))
	}
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	return built, nil
}

func (m *Campaign) built(organisation *eligibility.Organisation, policy *eligibility.Policy) *eligibility.Campaign {
	return &eligibility.Campaign{
		ID: m.ID, Organisation: organisation, Purpose: m.Purpose, Product: m.Product, Mode: m.Mode, Dialing: m.Dialing,
		Brand: m.Brand, Suspended: m.Suspended, Policy: policy,
	}
}

// override lays settings over a policy; where they are wrong it tells where, and returns the policy as it was.
func (r *reader) override(policy *eligibility.Policy, settings map[string]any, at *value) *eligibility.Policy {
	over, err := policy.Override(settings)
	if err == nil {
		return over
	}
	var wrong *eligibility.SettingError
	if errors.As(err, &wrong) && at != nil {
		r.setting(at, wrong)
	} else {
		r.problems.add(Problem{Text: fmt.Sprintf("policy: %v", err)})
	}
	return policy
}

// setting tells a wrong setting at the deepest place of its path that is written.
func (r *reader) setting(at *value, wrong *eligibility.SettingError) {
	rest, text := wrong.Setting, wrong.Problem
	line, column := at.line, at.column
	for next := step(at, rest); next != nil; next = step(at, rest) {
		rest = strings.TrimPrefix(rest[len(next.key):], ".")
		at, line, column = next.value, next.line, next.column
	}
	if rest != "" {
		text = rest + ": " + text
	}
	r.problems.add(Problem{at.file, line, column, at.path(), text})
}

// step is the entry of v with which a path begins.
func step(v *value, path string) *entry {
	for i, e := range v.entries {
		rest, ok := strings.CutPrefix(path, e.key)
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return &v.entries[i]
		}
	}
	return nil
}
