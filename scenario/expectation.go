package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// Expectation is the answer that a scenario wants. What it leaves out is not compared.
type Expectation struct {
	Verdict       eligibility.Verdict
	Reason        eligibility.Reason
	Reasons       []eligibility.Reason     // all of them, in any order; nil: not compared
	Basis         string                   // an article; "": not compared
	Obligations   []eligibility.Obligation // must be there
	NoObligations []eligibility.Obligation // must not be there
	RetryAt       *time.Time               // nil: not compared; the zero time: never
	ValidUntil    *time.Time               // as RetryAt
}

func (r *facts) expectation(v *value) Expectation {
	f := r.fields(v)
	e := Expectation{
		Verdict:       word[eligibility.Verdict](f, "verdict", 0),
		Reason:        word[eligibility.Reason](f, "reason", 0),
		Reasons:       words[eligibility.Reason](f, "reasons"),
		Basis:         f.text("basis"),
		Obligations:   words[eligibility.Obligation](f, "obligations"),
		NoObligations: words[eligibility.Obligation](f, "no_obligations"),
		RetryAt:       f.timeOrNever("retry_at"),
		ValidUntil:    f.timeOrNever("valid_until"),
	}
	f.done("verdict", "reason")
	return e
}

// timeOrNever is a key's instant: nil when it is not written, the zero time when it is null.
func (f *fields) timeOrNever(key string) *time.Time {
	t := f.time(key)
	if f.v == nil || f.v.find(key) == nil {
		return nil
	}
	return &t
}

// differences says, for each expectation that the decision does not meet, what was wanted and what came.
func (e *Expectation) differences(d *eligibility.Decision) []string {
	var all []string
	differs := func(what string, want, got any) {
		all = append(all, strings.TrimSpace(fmt.Sprintf("want %s%v, got %v", what, want, got)))
	}
	if e.Verdict != d.Verdict || e.Reason != d.Reason {
		differs("", fmt.Sprintf("%v %v", e.Verdict, e.Reason), fmt.Sprintf("%v %v", d.Verdict, d.Reason))
	}
	if e.Reasons != nil && setOf(e.Reasons) != d.Reasons {
		differs("reasons ", setOf(e.Reasons).List(), d.Reasons.List())
	}
	if e.Basis != "" && e.Basis != d.Basis.Article {
		differs("basis ", e.Basis, orNone(d.Basis.Article))
	}
	if slices.ContainsFunc(e.Obligations, func(o eligibility.Obligation) bool { return !d.Obligations.Has(o) }) {
		differs("obligations ", e.Obligations, d.Obligations.List())
	}
	if slices.ContainsFunc(e.NoObligations, d.Obligations.Has) {
		differs("no obligations ", e.NoObligations, d.Obligations.List())
	}
	if e.RetryAt != nil && !e.RetryAt.Equal(d.RetryTime) {
		differs("retry_at ", orNever(*e.RetryAt), orNever(d.RetryTime))
	}
	if e.ValidUntil != nil && !e.ValidUntil.Equal(d.ValidUntil) {
		differs("valid_until ", orNever(*e.ValidUntil), orNever(d.ValidUntil))
	}
	return all
}

func setOf(reasons []eligibility.Reason) eligibility.ReasonSet {
	var s eligibility.ReasonSet
	for _, r := range reasons {
		s = s.With(r)
	}
	return s
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func orNever(t time.Time) string {
	if t.IsZero() {
		return "null"
	}
	return t.In(eligibility.Amsterdam).Format(time.RFC3339Nano)
}
