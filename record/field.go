package record

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
)

// Limits on what comes in from outside, in bytes where they bound a string.
const (
	MaxID       = 128
	MaxText     = 256
	MaxURI      = 2048
	MaxAgent    = 64
	MaxWords    = 500 // a person's own words
	MaxNames    = 64  // organisations, products, channels or purposes in one fact
	maxNameID   = 64  // organisations' and campaigns' ids
	earliestDay = "1900-01-01"
	latestDay   = "2200-01-01"
)

var (
	earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// FieldError says which field of a message is wrong and why, in words that are safe to show: they never repeat the
// value of a field that could hold a telephone number.
type FieldError struct {
	Field   string // its path, such as "fact.consent.give_time"
	Problem string
}

func (e *FieldError) Error() string { return e.Field + " " + e.Problem }

// check collects the first thing that is wrong with a message.
type check struct{ err *FieldError }

func (c *check) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = &FieldError{field, fmt.Sprintf(format, args...)}
	}
}

func (c *check) result() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// text is a string that may be empty.
func (c *check) text(field, s string, most int) string {
	if len(s) > most {
		c.fail(field, "is longer than %d bytes", most)
	}
	return s
}

// id is a string that may not be empty.
func (c *check) id(field, s string) string {
	if s == "" {
		c.fail(field, "is missing")
	}
	return c.text(field, s, MaxID)
}

// names is a list of strings none of which may be empty; nil stays nil.
func (c *check) names(field string, list []string, most int) []string {
	if len(list) > MaxNames {
		c.fail(field, "holds more than %d entries", MaxNames)
		return nil
	}
	for i, s := range list {
		if s != "" && len(s) <= most {
			continue
		}
		at := fmt.Sprintf("%s[%d]", field, i)
		if s == "" {
			c.fail(at, "is empty")
		}
		c.text(at, s, most)
	}
	return append([]string(nil), list...)
}

// moment is a time that may be absent; then it is the zero time.
func (c *check) moment(field string, t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	if t.CheckValid() != nil || t.AsTime().Before(earliest) || !t.AsTime().Before(latest) {
		c.fail(field, "must lie between %s and %s", earliestDay, latestDay)
		return time.Time{}
	}
	return t.AsTime()
}

func (c *check) momentGiven(field string, t *timestamppb.Timestamp) time.Time {
	if t == nil {
		c.fail(field, "is missing")
	}
	return c.moment(field, t)
}

// known refuses what a newer version of the API has added: to drop it in silence could turn the meaning round.
func (c *check) known(field string, m proto.Message) {
	if r := m.ProtoReflect(); !mutantFieldDropped && r.IsValid() && len(r.GetUnknown()) > 0 {
		c.fail(field, "holds a field that this version does not know")
	}
}

// word is an enum that may be unspecified.
func word[W eligibility.Word, E ~int32](c *check, field string, e E) W {
	if e == 0 {
		return 0
	}
	if e < 0 || e > 255 || !mutantWordUnchecked && !eligibility.Known(W(e)) {
		c.fail(field, "has the unknown value %d", e)
		return 0
	}
	return W(e)
}

func wordGiven[W eligibility.Word, E ~int32](c *check, field string, e E) W {
	if e == 0 {
		c.fail(field, "is missing")
	}
	return word[W](c, field, e)
}

// words is a list of enums none of which may be unspecified; nil stays nil.
func words[W eligibility.Word, E ~int32](c *check, field string, list []E) []W {
	if len(list) > MaxNames {
		c.fail(field, "holds more than %d entries", MaxNames)
		return nil
	}
	if len(list) == 0 {
		return nil
	}
	out := make([]W, 0, len(list))
	for i, e := range list {
		at := field
		if e <= 0 || e > 255 || !eligibility.Known(W(e)) {
			at = fmt.Sprintf("%s[%d]", field, i)
		}
		out = append(out, wordGiven[W](c, at, e))
	}
	return out
}
