// Package callerid knows which numbers may be shown by whom: whether a caller ID is shown at all, may be shown by its
// number range, is registered for the organisation that calls, and is reachable: tested, recently, and published.
// It imports eligibility only; it knows neither callees nor the ledger, and never sees how a catalogue is stored.
package callerid

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// Registration says that an organisation may show a number for a time.
type Registration struct {
	Number           string    // canonical E.164, "+" and 7 to 15 digits
	Organisation     string    // its id, 1 to 128 bytes
	ValidFrom        time.Time // zero: always
	ValidUntil       time.Time // exclusive; zero: for ever
	CallbackTestedAt time.Time // when somebody last rang it and it answered; zero: never
	PublishedURL     string    // http or https; "": published nowhere
}

// RegistrationError says which field of which registration is wrong.
type RegistrationError struct {
	Index   int    // in the slice given to NewRegister
	Field   string // such as "valid_until"
	Problem string // never holds the number
}

func (e *RegistrationError) Error() string {
	return fmt.Sprintf("caller_ids[%d].%s: %s", e.Index, e.Field, e.Problem)
}

const (
	// maxPerNumber bounds the work of one Check.
	maxPerNumber = 100
	// maxErrors bounds how many errors NewRegister joins.
	maxErrors      = 20
	maxIDBytes     = 128
	maxURLBytes    = 2048
	firstYear      = 1900
	lastYear       = 2199
	minDigits      = 7
	maxDigits      = 15
	sinceAlways    = eligibility.Instant(math.MinInt64)
	neverTested    = eligibility.Never
	fieldNumber    = "number"
	fieldValidFrom = "valid_from"
	fieldUntil     = "valid_until"
	fieldTested    = "callback_tested_at"
)

// Register holds all registrations. It is immutable, so any number of goroutines may use it.
type Register struct {
	byNumber map[string][]entry
}

var _ eligibility.CallerIDRegister = (*Register)(nil)

// entry is a registration as Check reads it.
type entry struct {
	organisation string
	from, until  eligibility.Instant
	tested       eligibility.Instant // neverTested: nobody rang it
	usuallyStale eligibility.Instant // when the test is too old under the law's default
	published    bool
}

// NewRegister indexes registrations. The error joins up to twenty *RegistrationError.
func NewRegister(registrations []Registration) (*Register, error) {
	r := &Register{byNumber: make(map[string][]entry, len(registrations))}
	var wrong []error
	for i := range registrations {
		err := r.add(i, &registrations[i])
		if err != nil {
			wrong = append(wrong, err)
		}
		if len(wrong) == maxErrors {
			break
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	for _, entries := range r.byNumber {
		slices.SortStableFunc(entries, func(a, b entry) int {
			return cmp.Or(cmp.Compare(a.organisation, b.organisation), cmp.Compare(a.from, b.from))
		})
	}
	return r, nil
}

func (r *Register) add(index int, g *Registration) error {
	if field, problem := g.problem(); problem != "" {
		return &RegistrationError{index, field, problem}
	}
	if len(r.byNumber[g.Number]) == maxPerNumber {
		return &RegistrationError{index, fieldNumber, fmt.Sprintf("more than %d registrations of one number", maxPerNumber)}
	}
	r.byNumber[g.Number] = append(r.byNumber[g.Number], entry{
		organisation: g.Organisation,
		from:         eligibility.InstantOf(g.ValidFrom, sinceAlways),
		until:        eligibility.InstantOf(g.ValidUntil, eligibility.Never),
		tested:       eligibility.InstantOf(g.CallbackTestedAt, neverTested),
		usuallyStale: usualTestAge.After(eligibility.InstantOf(g.CallbackTestedAt, neverTested)),
		published:    g.PublishedURL != "",
	})
	return nil
}

// problem names the first wrong field and what is wrong with it.
func (g *Registration) problem() (field, problem string) {
	switch {
	case !canonical(g.Number):
		return fieldNumber, "is not a canonical E.164 number"
	case g.Organisation == "" || len(g.Organisation) > maxIDBytes:
		return "organisation", fmt.Sprintf("must have 1 to %d bytes", maxIDBytes)
	case !inRange(g.ValidFrom):
		return fieldValidFrom, outOfRange
	case !inRange(g.ValidUntil):
		return fieldUntil, outOfRange
	case !g.ValidUntil.IsZero() && !g.ValidUntil.After(g.ValidFrom):
		return fieldUntil, "must be after valid_from"
	case !inRange(g.CallbackTestedAt):
		return fieldTested, outOfRange
	case g.PublishedURL != "" && !webAddress(g.PublishedURL):
		return "published_url", "is not an http or https URL"
	}
	return "", ""
}

var outOfRange = fmt.Sprintf("is not between the years %d and %d", firstYear, lastYear)

// inRange keeps times where an Instant can hold them.
func inRange(t time.Time) bool {
	return t.IsZero() || t.UTC().Year() >= firstYear && t.UTC().Year() <= lastYear
}

func canonical(number string) bool {
	if len(number) < 1+minDigits || len(number) > 1+maxDigits || number[0] != '+' || number[1] == '0' {
		return false
	}
	for i := 1; i < len(number); i++ {
		if number[i] < '0' || number[i] > '9' {
			return false
		}
	}
	return true
}

func webAddress(s string) bool {
	if len(s) > maxURLBytes {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil
}
