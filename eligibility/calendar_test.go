package eligibility

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The own calendar must agree with package time on every instant and every clock reading, gaps and doubled hours included.
func TestCalendarAgreesWithTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	from, until := time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2190, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	for range 200_000 {
		sec := from + rng.Int64N(until-from)
		instant := time.Unix(sec, rng.Int64N(1e9))
		got, want := localOf(Instant(instant.UnixNano())), instant.In(Amsterdam)
		y, m, d := want.Date()
		clock := int64(want.Hour())*3600 + int64(want.Minute())*60 + int64(want.Second())
		if got.date != (Date{y, m, d}) || got.clock != clock*second+int64(want.Nanosecond()) {
			t.Fatalf("%s: got %v %d", want, got.date, got.clock)
		}
		back := time.Date(y, m, d, want.Hour(), want.Minute(), want.Second(), want.Nanosecond(), Amsterdam)
		if got.instant() != Instant(back.UnixNano()) {
			t.Fatalf("%s: instant %s, want %s", want, got.instant().Time(), back)
		}
		if got.date.Weekday() != want.Weekday() {
			t.Fatalf("%s: weekday %s", want, got.date.Weekday())
		}
	}
}

func TestCalendarAroundShifts(t *testing.T) {
	for year := 1978; year < 2150; year++ {
		for _, month := range []time.Month{time.March, time.April, time.September, time.October} {
			for day := 1; day <= daysIn(year, month); day++ {
				for minute := 0; minute < 1440; minute += 30 {
					want := time.Date(year, month, day, 0, minute, 0, 0, Amsterdam)
					if got := (Date{year, month, day}).atMinute(minute); got != Instant(want.UnixNano()) {
						t.Fatalf("%d-%d-%d minute %d: got %s, want %s", year, month, day, minute, got.Time(), want)
					}
				}
			}
		}
	}
}

func TestDurations(t *testing.T) {
	at := func(s string) Instant {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return Instant(v.UnixNano())
	}
	for _, c := range []struct{ from, duration, want string }{
		{"2026-01-31T12:00:00+01:00", "1 month", "2026-02-28T12:00:00+01:00"},
		{"2024-02-29T00:00:00+01:00", "3 years", "2027-02-28T00:00:00+01:00"},
		{"2026-08-31T10:00:00+02:00", "6 months", "2027-02-28T10:00:00+01:00"},
		{"2026-03-28T02:30:00+01:00", "1 day", "2026-03-29T03:30:00+02:00"}, // the hour that the night lacks
		{"2026-03-28T12:00:00+01:00", "24 hours", "2026-03-29T13:00:00+02:00"},
		{"2026-10-24T12:00:00+02:00", "1 day", "2026-10-25T12:00:00+01:00"},
		{"2026-11-17T18:00:00+01:00", "72h", "2026-11-20T18:00:00+01:00"},
	} {
		d, err := ParseDuration(c.duration)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.After(at(c.from)); got != at(c.want) {
			t.Errorf("%s + %s = %s, want %s", c.from, c.duration, got.Time(), c.want)
		}
		again, err := ParseDuration(d.String())
		if err != nil || again != d {
			t.Errorf("%s reads back as %v, %v", d, again, err)
		}
	}
	for _, bad := range []string{"", "6", "months", "-1 days", "0 days", "1.5 hours", "+3 days", "6  months", "101 years", "36501 days", "1201 months", "10000 hours", "h", "six months", "3 weeks"} {
		if d, err := ParseDuration(bad); err == nil {
			t.Errorf("%q was read as %s", bad, d)
		}
	}
}

func TestWeek(t *testing.T) {
	week, err := ParseWeek("Mon-Fri 09:00-21:00, Sat 10:00-16:00, Fri 22:00-24:00")
	if err != nil {
		t.Fatal(err)
	}
	if len(week[time.Sunday]) != 0 || len(week[time.Friday]) != 2 || week[time.Saturday][0] != (Interval{600, 960}) {
		t.Errorf("got %v", week)
	}
	for _, bad := range []string{"", "Mon", "Mon 9:00-10:00", "Mon 10:00-09:00", "Mon 10:00-10:00", "Mon-Xyz 09:00-10:00", "Mon 09:00-25:00", "Mon 09:00-12:00, Mon 11:00-13:00", "Mon 09:60-10:00"} {
		if _, err := ParseWeek(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
