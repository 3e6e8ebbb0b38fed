package eligibility_test

import (
	"time"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

var dutchZone = mustLoadZone("Europe/Amsterdam")

func mustLoadZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return zone
}

// dateOf is the date in Amsterdam, in a form that sorts.
func dateOf(t time.Time) string { return t.In(dutchZone).Format(time.DateOnly) }

func noonOf(t time.Time) time.Time {
	y, m, d := t.In(dutchZone).Date()
	return time.Date(y, m, d, 12, 0, 0, 0, dutchZone)
}

// clock is the instant at some minutes after midnight on the Amsterdam day of t, moved by days.
func clock(t time.Time, days, minutes int) time.Time {
	y, m, d := t.In(dutchZone).Date()
	return time.Date(y, m, d+days, 0, minutes, 0, 0, dutchZone)
}

func midnightAfter(t time.Time) time.Time { return clock(t, 1, 0) }

// after is t and a duration: calendar units by Amsterdam's clock, clamped to the month's end; hours as they pass.
func after(t time.Time, d Duration) time.Time {
	if d.Hours > 0 {
		return t.Add(time.Duration(d.Hours) * time.Hour)
	}
	local := t.In(dutchZone)
	year, month, day := local.Date()
	if d.Months != 0 {
		first := time.Date(year, month+time.Month(d.Months), 1, 0, 0, 0, 0, time.UTC)
		year, month, day = first.Year(), first.Month(), min(day, first.AddDate(0, 1, -1).Day())
	}
	return time.Date(year, month, day+d.Days, local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), dutchZone)
}

// paschal is the date of Easter Sunday by the rule of the Council: the Sunday after the ecclesiastical full moon that
// falls on or after 21 March, the moon taken from the golden number and the century's epact.
func paschal(year int) time.Time {
	golden, century := year%19+1, year/100+1
	solar, lunar := 3*century/4-12, (8*century+5)/25-5
	epact := ((11*golden+20+lunar-solar)%30 + 30) % 30
	if epact == 24 || epact == 25 && golden > 11 {
		epact++
	}
	moon := 44 - epact
	if moon < 21 {
		moon += 30
	}
	full := time.Date(year, time.March, moon, 0, 0, 0, 0, time.UTC)
	return full.AddDate(0, 0, 7-int(full.Weekday()))
}

// falls tells that a day of the year is the date of t.
func falls(day YearDay, t time.Time) bool {
	year, month, date := t.In(dutchZone).Date()
	if day.Month == 0 {
		return dateOf(t) == paschal(year).AddDate(0, 0, day.Easter).Format(time.DateOnly)
	}
	return month == day.Month && date == day.Day
}

// closedAllDay tells that nobody is called on the Amsterdam date of t.
func closedAllDay(p *Policy, t time.Time) bool {
	local := t.In(dutchZone)
	if len(p.Week[local.Weekday()]) == 0 {
		return true
	}
	for _, day := range p.Holidays {
		if falls(day, t) {
			return true
		}
	}
	for _, day := range p.MourningDays {
		if dateOf(t) == time.Date(day.Year, day.Month, day.Day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly) {
			return true
		}
	}
	monthDay := local.Format("01-02")
	kingsDay := "04-27"
	if time.Date(local.Year(), 4, 27, 0, 0, 0, 0, time.UTC).Weekday() == time.Sunday {
		kingsDay = "04-26"
	}
	return monthDay == kingsDay && !p.KingsDayOpen || monthDay == "05-05" && !p.LiberationDayOpen
}

// hoursFault is why nobody is called at t; "" when the hours are open.
func hoursFault(p *Policy, t time.Time) string {
	if closedAllDay(p, t) {
		return "HOLIDAY"
	}
	local := t.In(dutchZone)
	minute := 60*local.Hour() + local.Minute()
	for _, early := range p.EarlyClose {
		if falls(early.Day, t) && minute >= early.Until {
			return "HOURS"
		}
	}
	for _, open := range p.Week[local.Weekday()] {
		if minute >= open.From && minute < open.Until {
			return ""
		}
	}
	return "HOURS"
}

// nextOpening is the first instant after t at which the hours open, looked for over four years.
func nextOpening(p *Policy, t time.Time) time.Time {
	for days := range 4 * 366 {
		var first time.Time
		for _, open := range p.Week[clock(t, days, 720).Weekday()] {
			begins := clock(t, days, open.From)
			if begins.After(t) && hoursFault(p, begins) == "" && (first.IsZero() || begins.Before(first)) {
				first = begins
			}
		}
		if !first.IsZero() {
			return first
		}
	}
	return time.Time{}
}
