package scenario

import (
	"reflect"
	"strings"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/telephony"
)

// File is a scenario file with its includes.
type File struct {
	Catalogue *Catalogue
	Scenarios []Scenario // those of included files first
}

// Scenario says how one call at one instant is to be answered.
type Scenario struct {
	ID, Title    string
	Source, Note string
	At           time.Time // the dial instant
	Call         Call
	Facts        []eligibility.Fact // about the number in Call.To, in the file's order
	Expect       Expectation

	at *value
}

// Call is the call that a scenario is about.
type Call struct {
	To, From     string // canonical E.164; "" when it is no number
	Campaign     string // the id of one of the catalogue's
	Person       string
	Presentation eligibility.Presentation
	Mode         eligibility.Mode    // 0: the campaign's
	Dialing      eligibility.Dialing // 0: the campaign's
}

// Load reads a scenario file with its includes. The error is a *Problems.
func Load(path string) (*File, error) {
	problems := &Problems{}
	return read(gather(path, problems), problems)
}

// Parse is Load for a file in memory, which may include nothing. The name stands in errors.
func Parse(name string, data []byte) (*File, error) {
	problems := &Problems{}
	return read(gatherBytes(name, data, problems), problems)
}

func read(roots []*value, problems *Problems) (*File, error) {
	if err := problems.err(); err != nil {
		return nil, err
	}
	base := &reader{problems: problems}
	for _, root := range roots {
		f := base.fields(root)
		for _, key := range []string{"include", "catalogue", "policy", "facts", "scenarios"} {
			f.get(key)
		}
		f.done()
	}
	file := &File{Catalogue: base.catalogue(roots)}
	r := &facts{base, file.Catalogue, make(map[string]entry)}
	r.names(roots)
	for _, root := range roots {
		if root.kind == object {
			file.Scenarios = append(file.Scenarios, r.scenarios(root)...)
		}
	}
	if err := problems.err(); err != nil {
		return nil, err
	}
	return file, nil
}

func (r *facts) scenarios(root *value) []Scenario {
	var all []Scenario
	for _, item := range r.fields(root).items("scenarios") {
		f := r.fields(item)
		s := Scenario{
			ID: f.id("id"), Title: oneLine(f.text("title")), Source: f.text("source"), Note: f.text("note"),
			At: f.time("at"), at: item,
		}
		if v := f.get("call"); v != nil {
			s.Call = r.callOf(v)
		}
		s.Facts = r.factsOf(f.items("facts"))
		if v := f.get("expect"); v != nil {
			s.Expect = r.expectation(v)
		}
		f.done("id", "title", "at", "call", "expect")
		r.first(r.catalogue.known, "scenario", s.ID, f.get("id"))
		all = append(all, s)
	}
	return all
}

// oneLine keeps a title on the line that tells its outcome.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func (r *facts) callOf(v *value) Call {
	f := r.fields(v)
	c := Call{
		To:           canonical(f.text("to")),
		From:         canonical(f.text("from")),
		Campaign:     r.catalogue.reference(f, "campaign", "campaign"),
		Person:       f.text("person"),
		Presentation: word(f, "presentation", eligibility.PresentationAllowed),
		Mode:         word[eligibility.Mode](f, "mode", 0),
		Dialing:      word[eligibility.Dialing](f, "dialing", 0),
	}
	f.done("to", "campaign")
	return c
}

// canonical is a number as the engine takes it: "" is one that cannot be called or shown, which is an answer and no error.
func canonical(written string) string {
	n, err := telephony.Canonical(written)
	if err != nil {
		return ""
	}
	return n.E164()
}

func (r *facts) factsOf(items []*value) []eligibility.Fact {
	all := make([]eligibility.Fact, 0, len(items))
	consents := make(map[string]*eligibility.Consent)
	for _, item := range items {
		fact := r.fact(item)
		if c := fact.Consent; c != nil && c.ID != "" {
			if was := consents[c.ID]; was != nil && !reflect.DeepEqual(was, c) {
				r.fail(item, "contradicts an earlier consent with the id %q", c.ID)
			}
			consents[c.ID] = c
		}
		all = append(all, fact)
	}
	return all
}
