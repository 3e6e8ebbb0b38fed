package loader

import (
	"strconv"
	"strings"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// clock is a time of day, with its offset where it is written.
type clock struct {
	hour, minute, second, nano int
	zone                       *time.Location
}

// The problems of a date.
const (
	noDate     = "must be a date like 2026-11-20, 20-11-2026 or 20/11/2026, with or without a time"
	noTime     = "must end in a time like 14:05, 14:05:30 or 14:05:30+01:00"
	notInMonth = "is no day of the calendar"
	notOnClock = "is no time of the day"
	shortYear  = "must write the year with four digits"
	springGap  = "falls into the hour that the clocks skip in spring: it never was"
)

// readMoment reads a date with or without a time. What has no offset is the time in Amsterdam, and a date alone its
// first midnight. Of an hour that the clocks show twice in autumn it takes the second if later, the first if not.
func readMoment(s string, later bool) (t time.Time, problem string) {
	day, rest := s, ""
	if at := strings.IndexAny(s, " T"); at >= 0 {
		day, rest = s[:at], strings.TrimLeft(s[at+1:], " ")
	}
	date, problem := readDate(day)
	if problem != "" {
		return time.Time{}, problem
	}
	c, problem := readClock(rest)
	if problem != "" || rest == "" && day != s {
		return time.Time{}, firstNonEmpty(problem, noTime)
	}
	if c.zone != nil {
		return time.Date(date.Year, date.Month, date.Day, c.hour, c.minute, c.second, c.nano, c.zone), ""
	}
	return inAmsterdam(date, c, later)
}

// endOf is the last instant of a day: an objection of which only the day is known may have come after everything else of
// that day. Today's is taken from its first midnight, since what lies ahead has no effect yet.
func endOf(d eligibility.Date, now time.Time) time.Time {
	if end := d.AddDays(1).Midnight().Time().Add(-1); end.Before(now) {
		return end
	}
	return d.Midnight().Time()
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// inAmsterdam finds the instant at which the clocks of Amsterdam show this.
func inAmsterdam(d eligibility.Date, c clock, later bool) (time.Time, string) {
	shown := time.Date(d.Year, d.Month, d.Day, c.hour, c.minute, c.second, c.nano, eligibility.Amsterdam)
	var found time.Time
	for _, shift := range []time.Duration{-time.Hour, 0, time.Hour} {
		t := shown.Add(shift)
		if shows(t, d, c) && (found.IsZero() || later) {
			found = t
		}
	}
	if mutantSpringGap && found.IsZero() {
		return shown, ""
	}
	if found.IsZero() {
		return time.Time{}, springGap
	}
	return found, ""
}

func shows(t time.Time, d eligibility.Date, c clock) bool {
	return t.Year() == d.Year && t.Month() == d.Month && t.Day() == d.Day && t.Hour() == c.hour && t.Minute() == c.minute
}

// readDate reads year-month-day, or day-month-year as the Dutch write it, with hyphens or slashes.
func readDate(s string) (eligibility.Date, string) {
	separator := "-"
	if strings.Contains(s, "/") {
		separator = "/"
	}
	parts := strings.Split(s, separator)
	if len(parts) != 3 {
		return eligibility.Date{}, noDate
	}
	if len(parts[0]) != 4 {
		parts[0], parts[2] = parts[2], parts[0]
	}
	year, okYear := readDigits(parts[0], 1, 4)
	month, okMonth := readDigits(parts[1], 1, 2)
	day, okDay := readDigits(parts[2], 1, 2)
	switch {
	case !okYear || !okMonth || !okDay:
		return eligibility.Date{}, noDate
	case len(parts[0]) != 4:
		return eligibility.Date{}, shortYear
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if t.Day() != day || int(t.Month()) != month {
		return eligibility.Date{}, notInMonth
	}
	return eligibility.Date{Year: year, Month: time.Month(month), Day: day}, ""
}

// readClock reads HH:MM, HH:MM:SS or HH:MM:SS.fraction and an offset; nothing is midnight.
func readClock(s string) (clock, string) {
	if s == "" {
		return clock{}, ""
	}
	var c clock
	var ok bool
	if s, c.zone, ok = cutZone(s); !ok {
		return clock{}, noTime
	}
	s, fraction, hasFraction := strings.Cut(s, ".")
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || hasFraction && len(parts) != 3 {
		return clock{}, noTime
	}
	for i, into := range []*int{&c.hour, &c.minute, &c.second}[:len(parts)] {
		least := min(2, i+1) // 9:05 is a time, 14:5 is not
		if *into, ok = readDigits(parts[i], least, 2); !ok {
			return clock{}, noTime
		}
	}
	if hasFraction {
		if _, ok = readDigits(fraction, 1, 9); !ok {
			return clock{}, noTime
		}
		c.nano, _ = readDigits((fraction + "00000000")[:9], 9, 9)
	}
	if c.hour > 23 || c.minute > 59 || c.second > 59 {
		return clock{}, notOnClock
	}
	return c, ""
}

// cutZone takes Z, +HH, +HHMM or +HH:MM from the end.
func cutZone(s string) (rest string, zone *time.Location, ok bool) {
	if before, utc := strings.CutSuffix(s, "Z"); utc {
		return before, time.UTC, true
	}
	at := strings.LastIndexAny(s, "+-")
	if at < 0 {
		return s, nil, true
	}
	digits := strings.Replace(s[at+1:], ":", "", 1)
	if len(digits) == 2 {
		digits += "00"
	}
	value, ok := readDigits(digits, 4, 4)
	if !ok || value/100 > 14 || value%100 > 59 {
		return "", nil, false
	}
	seconds := (value/100*60 + value%100) * 60
	if s[at] == '-' {
		seconds = -seconds
	}
	return strings.TrimRight(s[:at], " "), time.FixedZone("", seconds), true
}

// readDigits reads a number of least to most ASCII digits.
func readDigits(s string, least, most int) (int, bool) {
	if len(s) < least || len(s) > most {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
