package eligibility

import (
	"fmt"
	"time"
)

// YearDay is a day that comes back every year: a fixed one, or one that moves with Easter.
type YearDay struct {
	Month  time.Month // 0 for a day that moves with Easter
	Day    int
	Easter int // days after Easter Sunday, where Month is 0
}

// yearDayWords names the days that a law file may name; fixed ones may also be written MM-DD.
var yearDayWords = map[string]YearDay{
	"NEW_YEAR":      {Month: time.January, Day: 1},
	"GOOD_FRIDAY":   {Easter: -2},
	"EASTER_SUNDAY": {Easter: 0},
	"EASTER_MONDAY": {Easter: 1},
	"ASCENSION":     {Easter: 39},
	"WHIT_SUNDAY":   {Easter: 49},
	"WHIT_MONDAY":   {Easter: 50},
	"CHRISTMAS":     {Month: time.December, Day: 25},
	"BOXING_DAY":    {Month: time.December, Day: 26},
}

// ParseYearDay reads a named day such as "GOOD_FRIDAY", or MM-DD.
func ParseYearDay(s string) (YearDay, error) {
	if d, ok := yearDayWords[s]; ok {
		return d, nil
	}
	t, err := time.Parse("2006-01-02", "2024-"+s) // a leap year, so that 02-29 is a day
	if err != nil {
		return YearDay{}, fmt.Errorf("%q is neither MM-DD nor a named day such as EASTER_MONDAY", s)
	}
	return YearDay{Month: t.Month(), Day: t.Day()}, nil
}

// falls reports whether the day falls on d.
func (y YearDay) falls(d Date) bool {
	if y.Month != 0 {
		return d.Month == y.Month && d.Day == y.Day
	}
	// Easter is between 22 March and 25 April; Whit Monday can be no later than 14 June, Good Friday no earlier than 20 March.
	if d.Month < time.March || d.Month > time.June {
		return false
	}
	return EasterSunday(d.Year).AddDays(y.Easter) == d
}

// EasterSunday is Easter in the Gregorian calendar (the anonymous Gregorian algorithm, Meeus, Astronomical Algorithms, ch. 8).
func EasterSunday(year int) Date {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	f := (b + 8) / 25
	g := (b - f + 1) / 3
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return Date{year, time.Month(n / 31), n%31 + 1}
}

// kingsDay is 27 April, or the 26th where that is a Sunday [Koningsdag].
func kingsDay(year int) Date {
	d := Date{year, time.April, 27}
	if d.Weekday() == time.Sunday {
		d.Day--
	}
	return d
}

// closed reports whether nobody is called on the date at all: no hours on that weekday, a holiday, a day of mourning.
func (p *Policy) closed(d Date) bool {
	if len(p.Week[d.Weekday()]) == 0 {
		return true
	}
	for _, h := range p.Holidays {
		if h.falls(d) {
			return true
		}
	}
	for _, m := range p.MourningDays {
		if m == d {
			return true
		}
	}
	return !p.KingsDayOpen && d.Month == time.April && d == kingsDay(d.Year) ||
		!p.LiberationDayOpen && d.Month == time.May && d.Day == 5
}

// neverCloses reports whether the hours are open at every instant.
func (p *Policy) neverCloses() bool {
	for _, day := range p.Week {
		if len(day) != 1 || day[0] != (Interval{0, 1440}) {
			return false
		}
	}
	return len(p.Holidays)+len(p.MourningDays)+len(p.EarlyClose) == 0 && p.KingsDayOpen && p.LiberationDayOpen
}

// earliestClose is the minute at which the date closes at the latest.
func (p *Policy) earliestClose(d Date) int {
	until := 1440
	for _, e := range p.EarlyClose {
		if e.Day.falls(d) {
			until = min(until, e.Until)
		}
	}
	return until
}

// hours finds whether the hours are open at an instant: 0, Hours or Holiday; and the next instant at which that changes.
func (p *Policy) hours(at Instant) (Reason, Instant) {
	if p.roundTheClock {
		return 0, Never
	}
	now := localOf(at)
	midnight := now.date.AddDays(1).Midnight()
	if p.closed(now.date) {
		return Holiday, midnight
	}
	closing := p.earliestClose(now.date)
	for _, iv := range p.Week[now.date.Weekday()] {
		from, until := now.date.atMinute(iv.From), now.date.atMinute(min(iv.Until, closing))
		switch {
		case iv.From >= closing:
		case at < from:
			return Hours, from
		case at < until:
			return 0, until
		}
	}
	return Hours, midnight
}

// maxClosedDays bounds the search for the next opening; a policy that is closed for longer never opens.
const maxClosedDays = 400

// opening is the next instant after at at which the hours open; Never when they stay closed.
func (p *Policy) opening(at Instant) Instant {
	date := localOf(at).date
	for range maxClosedDays {
		if !p.closed(date) {
			closing := p.earliestClose(date)
			for _, iv := range p.Week[date.Weekday()] {
				if from := date.atMinute(iv.From); iv.From < closing && from > at {
					return from
				}
			}
		}
		date = date.AddDays(1)
	}
	return Never
}
