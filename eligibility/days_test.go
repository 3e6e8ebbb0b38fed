package eligibility

import (
	"testing"
	"time"
)

// Easter by the tables of the Dutch government's calendar and of astronomy: none of them computed here.
func TestEaster(t *testing.T) {
	for _, want := range []Date{
		{2021, 4, 4}, {2022, 4, 17}, {2023, 4, 9}, {2024, 3, 31}, {2025, 4, 20}, {2026, 4, 5}, {2027, 3, 28}, {2028, 4, 16},
		{2029, 4, 1}, {2030, 4, 21}, {2031, 4, 13}, {2038, 4, 25}, {2285, 3, 22},
	} {
		if got := EasterSunday(want.Year); got != want {
			t.Errorf("Easter %d is %s, want %s", want.Year, got, want)
		}
	}
}

func TestHolidays(t *testing.T) {
	p := Policy{}
	var err error
	if p.Week, err = ParseWeek("Mon-Sun 00:00-24:00"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"NEW_YEAR", "EASTER_SUNDAY", "EASTER_MONDAY", "ASCENSION", "WHIT_SUNDAY", "WHIT_MONDAY", "CHRISTMAS", "BOXING_DAY"} {
		d, err := ParseYearDay(name)
		if err != nil {
			t.Fatal(err)
		}
		p.Holidays = append(p.Holidays, d)
	}
	p.LiberationDayOpen = true
	want := map[Date]bool{
		{2025, 1, 1}: true, {2025, 4, 20}: true, {2025, 4, 21}: true, {2025, 4, 26}: true, {2025, 5, 29}: true, {2025, 6, 8}: true,
		{2025, 6, 9}: true, {2025, 12, 25}: true, {2025, 12, 26}: true,
		{2026, 1, 1}: true, {2026, 4, 5}: true, {2026, 4, 6}: true, {2026, 4, 27}: true, {2026, 5, 14}: true, {2026, 5, 24}: true,
		{2026, 5, 25}: true, {2026, 12, 25}: true, {2026, 12, 26}: true,
	}
	for d := (Date{2025, 1, 1}); d.Year < 2027; d = d.AddDays(1) {
		if p.closed(d) != want[d] {
			t.Errorf("%s: closed %t, want %t", d, p.closed(d), want[d])
		}
	}
}

// openingSlowly finds the next opening by looking at every minute.
func openingSlowly(p *Policy, at Instant) Instant {
	for i := at + 1; ; i++ {
		i += (Instant(time.Minute) - i%Instant(time.Minute)) % Instant(time.Minute)
		before, _ := p.hours(i - 1)
		if now, _ := p.hours(i); now == 0 && before != 0 {
			return i
		}
	}
}

func TestOpening(t *testing.T) {
	p := Policy{EarlyClose: []EarlyClose{{YearDay{Month: time.December, Day: 24}, 8 * 60}}}
	var err error
	if p.Week, err = ParseWeek("Mon-Fri 09:00-12:00, Mon-Fri 14:00-20:00"); err != nil {
		t.Fatal(err)
	}
	p.Holidays = []YearDay{{Month: time.December, Day: 25}}
	for at := time.Date(2026, 12, 18, 0, 0, 30, 0, Amsterdam); at.Day() < 31; at = at.Add(97 * time.Minute) {
		instant := Instant(at.UnixNano())
		if got, want := p.opening(instant), openingSlowly(&p, instant); got != want {
			t.Errorf("after %s: opens %s, want %s", at, got.Time(), want.Time())
		}
	}
}
