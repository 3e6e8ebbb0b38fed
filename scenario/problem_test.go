package scenario

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// head is the part of a file that most problems share; it ends on line 13.
const head = `catalogue:
  organisations:
  - {id: acme, class: COMMERCIAL}
  caller_ids:
  - {number: "+31201234567", organisation: acme}
  campaigns:
  - {id: acme-x, organisation: acme, purpose: COMMERCIAL, product: product-x, mode: HUMAN, dialing: PREVIEW}
facts:
  asked: {call_request: {organisation: acme, product: product-x, requested_at: 2026-11-16T10:00:00+01:00}}
scenarios:
- id: one
  title: One
  at: 2026-11-18T14:00:00+01:00`

const (
	goodCall   = "\n  call: {to: \"0612345678\", campaign: acme-x}"
	goodExpect = "\n  expect: {verdict: DENY, reason: NO_BASIS}\n"
)

// small is a file of one scenario with the rest given.
func small(t testing.TB, rest string) *File {
	t.Helper()
	file, err := Parse("f.yaml", []byte(head+goodCall+rest))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func facts1(fact string) string {
	return head + goodCall + "\n  facts:\n  - " + fact + goodExpect
}

func catalogue1(organisation, number, campaign string) string {
	return fmt.Sprintf("catalogue:\n  organisations: [%s]\n  caller_ids: [%s]\n  campaigns:\n  - %s\n", organisation, number, campaign)
}

const (
	acme  = "{id: acme, class: COMMERCIAL}"
	acmeX = "{id: x, organisation: acme, purpose: SERVICE, product: p, mode: HUMAN, dialing: PREVIEW}"
)

var problemCases = map[string]struct{ file, want string }{
	"unknown key": {
		head + "\n  cal: {}" + goodCall + goodExpect,
		`f.yaml:14:3: scenarios[0].cal: unknown key "cal", want one of id, title, source, note, at, call, facts, expect`},
	"unknown key at the top": {
		"catalog: {}\n",
		`f.yaml:1:1: catalog: unknown key "catalog", want one of include, catalogue, policy, facts, scenarios`},
	"unknown key in the catalogue": {
		"catalogue: {organisation: []}\n",
		`f.yaml:1:13: catalogue.organisation: unknown key "organisation", want one of organisations, caller_ids, campaigns, product_families, canaries, ivr_menus`},
	"unknown meaning of a digit": {
		"catalogue:\n  organisations: [{id: a, class: COMMERCIAL}]\n  ivr_menus:\n  - {id: m, organisation: a, digits: {9: OBJECTED}}\n",
		`f.yaml:4:42: catalogue.ivr_menus[0].digits.9: want one of [OBJECT NOT_OBJECTED REPEAT]`},
	"a menu of nobody": {
		"catalogue:\n  ivr_menus:\n  - {id: m, organisation: a, digits: {9: OBJECT}}\n",
		`f.yaml:3:27: catalogue.ivr_menus[0].organisation: unknown organisation "a"`},
	"unknown key of a digit": {
		"catalogue:\n  organisations: [{id: a, class: COMMERCIAL}]\n  ivr_menus:\n  - {id: m, organisation: a, digits: {9: {meaning: OBJECT, produkt: gas}}}\n",
		`f.yaml:4:60: catalogue.ivr_menus[0].digits.9.produkt: unknown key "produkt", want one of meaning, product, spoken`},
	"duplicate key": {
		head + "\n  title: Two" + goodCall + goodExpect,
		`f.yaml:14:3: scenarios[0]: duplicate key "title", first on line 12`},
	"missing key": {
		head + goodCall,
		`f.yaml:11:3: scenarios[0].expect: is missing`},
	"null is missing": {
		head + "\n  call: null" + goodExpect,
		`f.yaml:11:3: scenarios[0].call: is missing`},
	"unknown word": {
		head + goodCall + "\n  expect: {verdict: PERHAPS, reason: NO_BASIS}",
		`f.yaml:15:21: scenarios[0].expect.verdict: unknown word "PERHAPS", want one of [ALLOW DENY DEFER]`},
	"a word where a list is wanted": {
		head + goodCall + "\n  expect: {verdict: DENY, reason: NO_BASIS, reasons: NO_BASIS}",
		`f.yaml:15:54: scenarios[0].expect.reasons: want a list, got a single value`},
	"a list where a word is wanted": {
		head + goodCall + "\n  expect: {verdict: [DENY], reason: NO_BASIS}",
		`f.yaml:15:21: scenarios[0].expect.verdict: want a single value, got a list`},
	"a word where a map is wanted": {
		head + "\n  call: acme-x" + goodExpect,
		`f.yaml:14:9: scenarios[0].call: want a map, got a single value`},
	"unknown campaign": {
		head + "\n  call: {to: \"0612345678\", campaign: acme-y}" + goodExpect,
		`f.yaml:14:38: scenarios[0].call.campaign: unknown campaign "acme-y"`},
	"unknown campaign of an earlier call": {
		facts1("call: {campaign: acme-y, at: 2026-11-16T10:00:00+01:00, outcome: BUSY}"),
		`f.yaml:16:22: scenarios[0].facts[0].call.campaign: unknown campaign "acme-y"`},
	"unknown organisation of a fact": {
		facts1("objection: {organisation: globex, at: 2026-11-16T10:00:00+01:00, via: WEB}"),
		`f.yaml:16:31: scenarios[0].facts[0].objection.organisation: unknown organisation "globex"`},
	"unknown organisation in a list": {
		facts1("consent: {id: c, organisations: [acme, globex]}"),
		`f.yaml:16:44: scenarios[0].facts[0].consent.organisations[1]: unknown organisation "globex"`},
	"unknown named fact": {
		facts1("{like: nothing}"),
		`f.yaml:16:12: scenarios[0].facts[0].like: unknown fact "nothing"`},
	"a key beside like that the fact has not": {
		facts1("{like: asked, via: WEB}"),
		`f.yaml:16:19: scenarios[0].facts[0].via: unknown key "via", want one of organisation, product, requested_at, call_at, source, evidence`},
	"a key beside like of the wrong kind": {
		facts1("{like: asked, evidence: yes}"),
		`f.yaml:16:29: scenarios[0].facts[0].evidence: want a map, got a single value`},
	"a required key taken away": {
		facts1("{like: asked, product: null}"),
		`f.yaml:16:5: scenarios[0].facts[0].product: is missing`},
	"unknown kind of fact": {
		facts1("complaint: {}"),
		`f.yaml:16:5: scenarios[0].facts[0].complaint: unknown kind of fact, want one of subscriber, consent, withdrawal, relationship, call_request, objection, call, list_entry`},
	"two kinds in one fact": {
		facts1("{subscriber: {}, list_entry: {list: TPS}}"),
		`f.yaml:16:5: scenarios[0].facts[0]: want one kind of fact, got 2 keys`},
	"a named fact like another": {
		"facts: {a: {like: b}}\n",
		`f.yaml:1:13: facts.a.like: unknown kind of fact, want one of subscriber, consent, withdrawal, relationship, call_request, objection, call, list_entry`},
	"a wrong word in a named fact that nobody uses": {
		"facts: {a: {subscriber: {kind: MARTIAN}}}\n",
		`f.yaml:1:32: facts.a.subscriber.kind: unknown word "MARTIAN", want one of [NATURAL_PERSON SOLE_TRADER PARTNERSHIP LEGAL_PERSON IN_FORMATION UNKNOWN]`},
	"consent without an id": {
		facts1("consent: {organisations: [acme]}"),
		`f.yaml:16:14: scenarios[0].facts[0].consent.id: is missing`},
	"contradictory consents": {
		facts1("consent: {id: c, person: P}\n  - consent: {id: c, person: Q}"),
		`f.yaml:17:5: scenarios[0].facts[1]: contradicts an earlier consent with the id "c"`},
	"withdrawal of nothing": {
		facts1("withdrawal: {at: 2026-11-16T10:00:00+01:00}"),
		`f.yaml:16:17: scenarios[0].facts[0].withdrawal: want either consent or organisation`},
	"withdrawal of two things": {
		facts1("withdrawal: {consent: c, organisation: acme, at: 2026-11-16T10:00:00+01:00}"),
		`f.yaml:16:17: scenarios[0].facts[0].withdrawal: want either consent or organisation`},
	"narrowed objection without a product": {
		facts1("objection: {organisation: acme, at: 2026-11-16T10:00:00+01:00, scope: PRODUCT}"),
		`f.yaml:16:16: scenarios[0].facts[0].objection.product: is missing`},
	"product of an objection that is not narrowed": {
		facts1("objection: {organisation: acme, at: 2026-11-16T10:00:00+01:00, product: p}"),
		`f.yaml:16:77: scenarios[0].facts[0].objection.product: is for scope PRODUCT only`},
	"a date for a time": {
		facts1("subscriber: {since: 2026-11-16}"),
		`f.yaml:16:25: scenarios[0].facts[0].subscriber.since: want a time with its offset like 2026-11-18T14:00:00+01:00, got "2026-11-16"`},
	"a time without its offset": {
		facts1("subscriber: {since: 2026-11-16T10:00:00}"),
		`f.yaml:16:25: scenarios[0].facts[0].subscriber.since: want a time with its offset like 2026-11-18T14:00:00+01:00, got "2026-11-16T10:00:00"`},
	"a time that no instant can hold": {
		facts1("subscriber: {since: 0001-01-01T00:00:00Z}"),
		`f.yaml:16:25: scenarios[0].facts[0].subscriber.since: want a time between the years 1900 and 2199, got "0001-01-01T00:00:00Z"`},
	"a time for a date": {
		facts1("subscriber: {born: 2011-03-01T00:00:00+01:00}"),
		`f.yaml:16:24: scenarios[0].facts[0].subscriber.born: "2011-03-01T00:00:00+01:00" is not a date like 2026-11-20`},
	"no duration": {
		facts1("consent: {id: c, first_call_within: 9}"),
		`f.yaml:16:41: scenarios[0].facts[0].consent.first_call_within: "9" is not a duration like "6 months", "30 days" or "72h"`},
	"no truth value": {
		facts1("subscriber: {private_line: \"true!\"}"),
		`f.yaml:16:32: scenarios[0].facts[0].subscriber.private_line: want true or false, got "true!"`},
	"no country": {
		facts1("subscriber: {established_in: Nederland}"),
		`f.yaml:16:34: scenarios[0].facts[0].subscriber.established_in: want a country like NL, got "Nederland"`},
	"no hash": {
		facts1("consent: {id: c, evidence: {sha256: 12}}"),
		`f.yaml:16:41: scenarios[0].facts[0].consent.evidence.sha256: want 64 hexadecimal digits, got "12"`},
	"an id with a space": {
		facts1("consent: {id: c x}"),
		`f.yaml:16:19: scenarios[0].facts[0].consent.id: must hold no spaces or control characters`},
	"an empty id": {
		facts1("consent: {id: \"\"}"),
		`f.yaml:16:19: scenarios[0].facts[0].consent.id: must have 1 to 128 bytes`},
	"duplicate scenario": {
		head + goodCall + goodExpect + "- {id: one, title: Again, at: 2026-11-18T14:00:00+01:00, call: {to: \"112\", campaign: acme-x}, expect: {verdict: DENY, reason: NO_BASIS}}\n",
		`f.yaml:16:8: scenarios[1].id: duplicate scenario "one", first in f.yaml:11`},
	"duplicate organisation": {
		catalogue1(acme+", "+acme, "", acmeX),
		`f.yaml:2:55: catalogue.organisations[1].id: duplicate organisation "acme", first in f.yaml:2`},
	"organisation without an id": {
		"catalogue: {organisations: [{}]}\n",
		`f.yaml:1:29: catalogue.organisations[0].id: is missing`},
	"campaign without an id": {
		"catalogue: {campaigns: [{}]}\n",
		`f.yaml:1:25: catalogue.campaigns[0].id: is missing`},
	"scenario without an id": {
		"scenarios: [{}]\n",
		`f.yaml:1:13: scenarios[0].id: is missing`},
	"duplicate campaign": {
		catalogue1(acme, "", acmeX+"\n  - "+acmeX),
		`f.yaml:6:10: catalogue.campaigns[1].id: duplicate campaign "x", first in f.yaml:5`},
	"campaign of an unknown organisation": {
		catalogue1("", "", acmeX),
		`f.yaml:5:27: catalogue.campaigns[0].organisation: unknown organisation "acme"`},
	"caller ID of an unknown organisation": {
		catalogue1(acme, "{number: \"+31201234567\", organisation: globex}", acmeX),
		`f.yaml:3:55: catalogue.caller_ids[0].organisation: unknown organisation "globex"`},
	"caller ID that is no number": {
		catalogue1(acme, "{number: 12, organisation: acme}", acmeX),
		`f.yaml:3:25: catalogue.caller_ids[0].number: is not a telephone number`},
	"caller ID whose period ends before it begins": {
		catalogue1(acme, "{number: \"+31201234567\", organisation: acme, valid_from: 2026-01-01T00:00:00Z, valid_until: 2025-01-01T00:00:00Z}", acmeX),
		`f.yaml:3:108: catalogue.caller_ids[0].valid_until: must be after valid_from`},
	"caller ID published on no website": {
		catalogue1(acme, "{number: \"+31201234567\", organisation: acme, published_url: acme}", acmeX),
		`f.yaml:3:76: catalogue.caller_ids[0].published_url: is not an http or https URL`},
	"licence of a company that has none": {
		catalogue1("{id: acme, class: COMMERCIAL, licence: WOK_3}", "", acmeX),
		`f.yaml:2:58: catalogue.organisations[0].licence: is for class GAMBLING_LICENSEE only`},
	"issues that are no number": {
		catalogue1("{id: acme, class: PUBLISHER, issues_per_year: 07}", "", acmeX),
		`f.yaml:2:65: catalogue.organisations[0].issues_per_year: want a whole number from 0 to 1000, got "07"`},
	"a family that is no list": {
		"catalogue: {product_families: {energy: power}}\n",
		`f.yaml:1:40: catalogue.product_families.energy: want a list, got a single value`},
	"include without a file": {
		"include: [x.yaml]\n",
		`f.yaml:1:10: include: nothing can be included here, since this is no file on disk`},
	"not YAML": {
		"a: b\n  c: d\n",
		`f.yaml:2:1: is not YAML: mapping values are not allowed in this context`},
	"empty":           {"", `f.yaml:1:1: the file is empty`},
	"two documents":   {"facts: {}\n---\nfacts: {}\n", `f.yaml:2:1: holds a second document; one file is one document`},
	"a list":          {"- facts\n", `f.yaml:1:1: want a map, got a list`},
	"anchor":          {"facts: &a {}\n", `f.yaml:1:8: facts: anchors and aliases are not supported; name a fact and use "like"`},
	"alias":           {"facts: &a {}\npolicy: *a\n", `f.yaml:2:9: policy: anchors and aliases are not supported; name a fact and use "like"`},
	"merge key":       {"policy: {<<: {}}\n", `f.yaml:1:10: policy: merge keys (<<) are not supported; name a fact and use "like"`},
	"tag":             {"policy: !!binary aGk=\n", `f.yaml:1:9: policy: the tag !!binary is not supported`},
	"a list as a key": {"[facts]: {}\n", `f.yaml:1:1: a key must be plain text`},
	"too deep":        {"policy: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), `f.yaml:1:41: policy` + strings.Repeat("[0]", 32) + `: is nested deeper than 32 levels`},
	"too large":       {strings.Repeat("#", maxBytes+1), `f.yaml: is larger than 16 MiB`},
}

func TestProblems(t *testing.T) {
	for name, c := range problemCases {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(c.file))
			var problems *Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			for _, p := range problems.List {
				if p.Error() == c.want {
					return
				}
			}
			t.Errorf("got:\n%v\nwant:\n%s", err, c.want)
		})
	}
}

// TestProblemsAreCounted: the first twenty are told, the rest counted, and one that comes back is told once.
func TestProblemsAreCounted(t *testing.T) {
	file := head + goodCall + "\n  facts:\n" + strings.Repeat("  - {like: nobody}\n", 23) + goodExpect[1:]
	_, err := Parse("f.yaml", []byte(file))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 21 || lines[20] != "and 3 more" {
		t.Errorf("got %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	named := strings.Replace(head, "facts:\n", "facts:\n  odd: {subscriber: {kind: MARTIAN}}\n", 1)
	_, err = Parse("f.yaml", []byte(named+goodCall+"\n  facts: [{like: odd}, {like: odd}]"+goodExpect))
	if got := err.Error(); strings.Count(got, "MARTIAN") != 1 {
		t.Errorf("got:\n%s", got)
	}
}

func TestProblemsAreShort(t *testing.T) {
	_, err := Parse("f.yaml", []byte("facts: {a: {subscriber: {kind: "+strings.Repeat("x", 1<<16)+"}}}"))
	if len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}
