package scenario

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// reader turns values into the engine's words and notes what is wrong with them.
type reader struct {
	problems *Problems
	// template: a named fact by itself, which may lack keys that its users write.
	template bool
}

func (r *reader) fail(v *value, format string, args ...any) {
	r.problems.add(Problem{v.file, v.line, v.column, v.path(), fmt.Sprintf(format, args...)})
}

// fields reads the keys of one map. Each key is asked for once; done complains about those nobody asked for.
type fields struct {
	r     *reader
	v     *value // nil when it was no map: then every key is absent
	asked []string
}

func (r *reader) fields(v *value) *fields {
	if v != nil && v.kind != object {
		r.fail(v, "want a map, got %v", v.kind)
		v = nil
	}
	return &fields{r: r, v: v}
}

// get is a key's value; nil when it is not written, or null.
func (f *fields) get(key string) *value {
	v := f.written(key)
	if v == nil || v.kind == null {
		return nil
	}
	return v
}

// written is a key's value; nil when it is not written.
func (f *fields) written(key string) *value {
	if !slices.Contains(f.asked, key) {
		f.asked = append(f.asked, key)
	}
	if f.v == nil {
		return nil
	}
	if e := f.v.find(key); e != nil {
		return e.value
	}
	return nil
}

// done complains about unknown keys and about absent ones that are required.
func (f *fields) done(required ...string) {
	if f.v == nil {
		return
	}
	for _, e := range f.v.entries {
		if !slices.Contains(f.asked, e.key) && !mutantUnknownKey {
			f.r.problems.add(Problem{e.value.file, e.line, e.column, f.v.field(e.key),
				fmt.Sprintf("unknown key %q, want one of %s", e.key, strings.Join(f.asked, ", "))})
		}
	}
	for _, key := range required {
		if e := f.v.find(key); !f.r.template && (e == nil || e.value.kind == null) {
			f.missing(key)
		}
	}
}

func (f *fields) missing(key string) {
	f.r.problems.add(Problem{f.v.file, f.v.line, f.v.column, f.v.field(key), "is missing"})
}

// scalar is a key's single value.
func (f *fields) scalar(key string) *value {
	v := f.get(key)
	if v != nil && v.kind != scalar {
		f.r.fail(v, "want a single value, got %v", v.kind)
		return nil
	}
	return v
}

// text is a key's text, as written: an unquoted number is text too.
func (f *fields) text(key string) string {
	if v := f.scalar(key); v != nil {
		return v.text
	}
	return ""
}

// maxIDBytes is how long an id may be.
const maxIDBytes = 128

// id is a key's text that names something: 1 to 128 bytes, no spaces, no control characters.
func (f *fields) id(key string) string {
	v := f.scalar(key)
	if v == nil {
		return ""
	}
	return f.r.id(v)
}

func (r *reader) id(v *value) string {
	unprintable := func(c rune) bool { return c <= ' ' || c == 0x7f }
	switch {
	case v.kind != scalar:
		r.fail(v, "want a single value, got %v", v.kind)
	case v.text == "" || len(v.text) > maxIDBytes:
		r.fail(v, "must have 1 to %d bytes", maxIDBytes)
	case strings.ContainsFunc(v.text, unprintable):
		r.fail(v, "must hold no spaces or control characters")
	default:
		return v.text
	}
	return ""
}

// ids is a key's list of ids.
func (f *fields) ids(key string) []string {
	var ids []string
	for _, item := range f.items(key) {
		if id := f.r.id(item); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// items is a key's list.
func (f *fields) items(key string) []*value {
	v := f.get(key)
	if v == nil {
		return nil
	}
	if v.kind != list {
		f.r.fail(v, "want a list, got %v", v.kind)
		return nil
	}
	return v.items
}

// flag is a key's truth value; absent when it is not written.
func (f *fields) flag(key string, absent bool) bool {
	v := f.scalar(key)
	if v == nil {
		return absent
	}
	if v.tag != "!!bool" {
		f.r.fail(v, "want true or false, got %q", v.text)
	}
	return strings.EqualFold(v.text, "true")
}

// number is a key's whole number, 0 to limit; 0 when it is not written.
func (f *fields) number(key string, limit int) int {
	v := f.scalar(key)
	if v == nil {
		return 0
	}
	n, err := strconv.Atoi(v.text)
	if err != nil || strconv.Itoa(n) != v.text || v.tag != "!!int" || n < 0 || n > limit {
		f.r.fail(v, "want a whole number from 0 to %d, got %q", limit, v.text)
		return 0
	}
	return n
}

const firstYear, lastYear = 1900, 2199

// time is a key's instant; the zero time when it is not written.
func (f *fields) time(key string) time.Time {
	v := f.scalar(key)
	if v == nil {
		return time.Time{}
	}
	var t time.Time
	if t.UnmarshalText([]byte(v.text)) != nil {
		f.r.fail(v, "want a time with its offset like 2026-11-18T14:00:00+01:00, got %q", v.text)
		return time.Time{}
	}
	if t.UTC().Year() < firstYear || t.UTC().Year() > lastYear {
		f.r.fail(v, "want a time between the years %d and %d, got %q", firstYear, lastYear, v.text)
		return time.Time{}
	}
	return t
}

// date is a key's date; the zero date when it is not written.
func (f *fields) date(key string) eligibility.Date {
	v := f.scalar(key)
	if v == nil {
		return eligibility.Date{}
	}
	d, err := eligibility.ParseDate(v.text)
	if err != nil {
		f.r.fail(v, "%v", err)
	}
	return d
}

// duration is a key's duration; the zero duration when it is not written.
func (f *fields) duration(key string) eligibility.Duration {
	v := f.scalar(key)
	if v == nil {
		return eligibility.Duration{}
	}
	d, err := eligibility.ParseDuration(v.text)
	if err != nil {
		f.r.fail(v, "%v", err)
	}
	return d
}

// matching is a key's text where it has a certain form; "" when it is not written.
func (f *fields) matching(key string, form *regexp.Regexp, what string) string {
	v := f.scalar(key)
	if v == nil || v.text == "" {
		return ""
	}
	if !form.MatchString(v.text) {
		f.r.fail(v, "want %s, got %q", what, v.text)
	}
	return v.text
}

// word is a key's enumerated word; absent when it is not written.
func word[W eligibility.Word](f *fields, key string, absent W) W {
	v := f.scalar(key)
	if v == nil {
		return absent
	}
	return wordOf[W](f.r, v)
}

// words is a key's list of enumerated words.
func words[W eligibility.Word](f *fields, key string) []W {
	var all []W
	for _, item := range f.items(key) {
		if w := wordOf[W](f.r, item); w != 0 {
			all = append(all, w)
		}
	}
	return all
}

func wordOf[W eligibility.Word](r *reader, v *value) W {
	if v.kind != scalar {
		r.fail(v, "want a single value, got %v", v.kind)
		return 0
	}
	w, err := eligibility.ParseWord[W](v.text)
	if err != nil {
		r.fail(v, "%v", err)
	}
	return w
}
