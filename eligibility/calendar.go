package eligibility

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the same zone everywhere, also where the machine has none
)

// Instant is a moment in nanoseconds since 1970 UTC; the law compares many of them and allocates none.
type Instant int64

const (
	// Never is later than every instant.
	Never Instant = math.MaxInt64
	// always is earlier than every instant.
	always Instant = math.MinInt64
)

// An instant can hold the years from 1678 to 2261; what lies far outside a telephone's life is never or always.
const (
	firstYear = 1700
	lastYear  = 2200
)

// InstantOf converts a time; the zero time, which means "absent", becomes absent, and what lies outside the years from
// 1700 to 2200 never or always.
func InstantOf(t time.Time, absent Instant) Instant {
	switch {
	case t.IsZero():
		return absent
	case t.Year() > lastYear:
		return Never
	case t.Year() < firstYear:
		return always
	}
	return Instant(t.UnixNano())
}

// Time is the instant in Amsterdam; the zero time for Never.
func (i Instant) Time() time.Time {
	if i == Never || i == always {
		return time.Time{}
	}
	return time.Unix(0, int64(i)).In(Amsterdam)
}

// Date is a day in the calendar. The zero date means "absent".
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// ParseDate reads YYYY-MM-DD.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, fmt.Errorf("%q is not a date like 2026-11-20", s)
	}
	return Date{t.Year(), t.Month(), t.Day()}, nil
}

// IsZero reports whether the date is absent.
func (d Date) IsZero() bool { return d == Date{} }

func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday { return time.Weekday((d.days() + 4) % 7) }

// AddMonths adds calendar months, clamped to the month's end: 31 January and a month is 28 or 29 February.
func (d Date) AddMonths(n int) Date {
	months := d.Year*12 + int(d.Month) - 1 + n
	year, month := months/12, time.Month(months%12+1)
	return Date{year, month, min(d.Day, daysIn(year, month))}
}

// AddDays adds days.
func (d Date) AddDays(n int) Date { return dateOfDays(d.days() + n) }

func daysIn(year int, month time.Month) int {
	switch month {
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	default:
		return 31
	}
}

// days counts days since 1970-01-01 for dates from year 1 on (proleptic Gregorian, years beginning in March).
func (d Date) days() int {
	y, m := d.Year, int(d.Month)
	if m <= 2 {
		y--
		m += 12
	}
	return 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d.Day - 719469
}

// dateOfDays is the inverse of days.
func dateOfDays(n int) Date {
	z := n + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day := doy - (153*mp+2)/5 + 1
	month := mp + 3
	year := yoe + era*400
	if month > 12 {
		month -= 12
		year++
	}
	return Date{year, time.Month(month), day}
}

// Duration is a calendar duration (months, days) or an elapsed one (hours); one of them is set. The zero value: none.
type Duration struct {
	Months int
	Days   int
	Hours  int
}

// maxDuration bounds what a duration may say, in each unit: about a hundred years of calendar, a year of hours.
var maxDuration = Duration{Months: 1200, Days: 36_500, Hours: 9999}

// ParseDuration reads "6 months", "30 days", "3 years", "72 hours", "1 day" or "72h": at least 1, at most 100 years or
// 9,999 hours.
func ParseDuration(s string) (Duration, error) {
	number, unit, ok := strings.Cut(s, " ")
	if !ok {
		number, unit = strings.TrimSuffix(s, "h"), "hours"
		if number == s {
			return Duration{}, fmt.Errorf("%q is not a duration like \"6 months\", \"30 days\" or \"72h\"", s)
		}
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxDuration.Days || number[0] == '+' {
		return Duration{}, fmt.Errorf("%q is not a duration: the number must be a whole one from 1", s)
	}
	var d Duration
	switch strings.TrimSuffix(unit, "s") {
	case "hour":
		d.Hours = n
	case "day":
		d.Days = n
	case "month":
		d.Months = n
	case "year":
		d.Months = 12 * n
	default:
		return Duration{}, fmt.Errorf("%q is not a duration: the unit must be hours, days, months or years", s)
	}
	if d.Hours > maxDuration.Hours || d.Months > maxDuration.Months {
		return Duration{}, fmt.Errorf("%q is longer than 100 years, or 9999 hours", s)
	}
	return d, nil
}

// IsZero reports whether no duration is set.
func (d Duration) IsZero() bool { return d == Duration{} }

func (d Duration) String() string {
	switch {
	case d.Months > 0 && d.Months%12 == 0:
		return count(d.Months/12, "year")
	case d.Months > 0:
		return count(d.Months, "month")
	case d.Days > 0:
		return count(d.Days, "day")
	default:
		return count(d.Hours, "hour")
	}
}

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}

// Amsterdam is the zone in which the law counts days and hours.
var Amsterdam = mustLoad("Europe/Amsterdam")

func mustLoad(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic("eligibility: the embedded time zone " + name + " is missing: " + err.Error())
	}
	return loc
}

// shift is a change of Amsterdam's offset from UTC.
type shift struct{ at, offset int64 } // seconds

// shifts lists Amsterdam's offsets from 1970 to 2200, taken once from the zone, since asking time costs ten times more.
var shifts = amsterdamShifts()

func amsterdamShifts() []shift {
	const week = 7 * day
	from := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	until := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	all := []shift{{from, zoneOffset(from)}}
	for t := from; t < until; t += week {
		before, after := zoneOffset(t), zoneOffset(t+week)
		if before == after {
			continue
		}
		change := sort.Search(week, func(s int) bool { return zoneOffset(t+int64(s)) != before })
		all = append(all, shift{t + int64(change), after})
	}
	return all
}

func zoneOffset(second int64) int64 {
	_, offset := time.Unix(second, 0).In(Amsterdam).Zone()
	return int64(offset)
}

// shiftBefore holds, for each span of 2^shiftSpan seconds (about a year) since 1970, the shift in force when it begins.
var shiftBefore = indexShifts()

const shiftSpan = 25

func indexShifts() []int {
	var index []int
	for begin := int64(0); begin <= shifts[len(shifts)-1].at; begin += 1 << shiftSpan {
		index = append(index, sort.Search(len(shifts), func(i int) bool { return shifts[i].at > begin })-1)
	}
	return index
}

// offsetAt is Amsterdam's offset at a UTC second and the span of seconds in which it holds.
func offsetAt(second int64) (offset, from, until int64) {
	if second < shifts[0].at {
		return shifts[0].offset, math.MinInt64, shifts[0].at
	}
	i := shiftBefore[min(int(second>>shiftSpan), len(shiftBefore)-1)]
	for i+1 < len(shifts) && shifts[i+1].at <= second {
		i++
	}
	until = math.MaxInt64
	if i+1 < len(shifts) {
		until = shifts[i+1].at
	}
	return shifts[i].offset, shifts[i].at, until
}

const (
	second = int64(time.Second)
	day    = 86400
)

// local is a moment on the clocks of Amsterdam: a date and the nanoseconds since its midnight as the clock shows them.
type local struct {
	date  Date
	clock int64
}

func localOf(i Instant) local {
	sec := floorDiv(int64(i), second)
	offset, _, _ := offsetAt(sec)
	wall := sec + offset
	days := floorDiv(wall, day)
	return local{dateOfDays(int(days)), (wall-days*day)*second + int64(i) - sec*second}
}

// instant reads the clock back. In the hour that a spring night lacks, and in the one that an autumn night has twice, it
// chooses as time.Date does.
func (l local) instant() Instant {
	sec := floorDiv(l.clock, second)
	wall := int64(l.date.days())*day + sec
	offset, from, until := offsetAt(wall)
	if utc := wall - offset; utc < from || utc >= until {
		offset, _, _ = offsetAt(utc)
	}
	return Instant((wall-offset)*second + l.clock - sec*second)
}

// After is the instant a duration after i: calendar units keep the clock's time, hours are elapsed time.
func (d Duration) After(i Instant) Instant {
	if i == Never || i == always {
		return i
	}
	if d.Hours > 0 {
		return i + Instant(d.Hours)*Instant(time.Hour)
	}
	return d.afterLocal(localOf(i))
}

// afterLocal is After for an instant whose clock reading is known; calendar units only.
func (d Duration) afterLocal(l local) Instant {
	if d.Months > 0 {
		l.date = l.date.AddMonths(d.Months)
	} else {
		l.date = l.date.AddDays(d.Days)
	}
	return l.instant()
}

// Midnight is the start of the date in Amsterdam.
func (d Date) Midnight() Instant { return local{date: d}.instant() }

// atMinute is the instant of a minute of the date; minute 1440 is the next midnight.
func (d Date) atMinute(minute int) Instant {
	if minute >= 1440 {
		return d.AddDays(1).Midnight()
	}
	return local{d, int64(minute) * 60 * second}.instant()
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
