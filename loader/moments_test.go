package loader

import (
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

func TestMoments(t *testing.T) {
	for s, want := range map[string]string{
		"2026-11-20":                     "2026-11-19T23:00:00Z",
		"2026-07-01":                     "2026-06-30T22:00:00Z",
		"20-11-2026":                     "2026-11-19T23:00:00Z",
		"1-2-2026":                       "2026-01-31T23:00:00Z",
		"20/11/2026":                     "2026-11-19T23:00:00Z",
		"2026/11/20":                     "2026-11-19T23:00:00Z",
		"29-02-2028":                     "2028-02-28T23:00:00Z",
		"2026-11-20 14:05":               "2026-11-20T13:05:00Z",
		"2026-11-20T14:05":               "2026-11-20T13:05:00Z",
		"20-11-2026 14:05":               "2026-11-20T13:05:00Z",
		"20-11-2026 9:05":                "2026-11-20T08:05:00Z",
		"20/11/2026 14:05:06":            "2026-11-20T13:05:06Z",
		"2026-11-20T14:05:06Z":           "2026-11-20T14:05:06Z",
		"2026-11-20T14:05:06.789Z":       "2026-11-20T14:05:06.789Z",
		"2026-11-20T14:05:06.000000001Z": "2026-11-20T14:05:06.000000001Z",
		"2026-11-20T14:05:06+01:00":      "2026-11-20T13:05:06Z",
		"2026-11-20 14:05:06+01":         "2026-11-20T13:05:06Z",
		"2026-11-20 14:05:06 -0230":      "2026-11-20T16:35:06Z",
		"2026-11-20T14:05+01:00":         "2026-11-20T13:05:00Z",
		"2026-03-29 01:59":               "2026-03-29T00:59:00Z",
		"2026-03-29 03:00":               "2026-03-29T01:00:00Z",
		"2026-10-25 01:59":               "2026-10-24T23:59:00Z",
		"2026-10-25 03:00":               "2026-10-25T02:00:00Z",
		"2026-10-25T02:30:00+02:00":      "2026-10-25T00:30:00Z",
	} {
		for _, later := range []bool{false, true} {
			got, problem := readMoment(s, later)
			if problem != "" || got.UTC().Format(time.RFC3339Nano) != want {
				t.Errorf("%q, later %v: %s %s, want %s", s, later, got.UTC().Format(time.RFC3339Nano), problem, want)
			}
		}
	}
}

// An hour that comes twice is read so that less is allowed: objections and withdrawals later, consents earlier.
func TestTheHourThatComesTwice(t *testing.T) {
	first, _ := readMoment("25-10-2026 02:30", false)
	second, _ := readMoment("25-10-2026 02:30", true)
	if first.UTC().Format(time.RFC3339) != "2026-10-25T00:30:00Z" || second.Sub(first) != time.Hour {
		t.Errorf("first %v, second %v", first.UTC(), second.UTC())
	}
	const row = "0612345678;a;25-10-2026 02:30;"
	facts, _, _, _ := load(t, Objections, objectionHeader+row+"web\n")
	if got := facts[0].GetFact().GetObjection().GetObjectTime().AsTime(); !got.Equal(second) {
		t.Errorf("objection at %v", got)
	}
	facts, _, _, _ = load(t, CallRequests, "telefoon;organisatie;datum;product\n"+row+"gas\n")
	if got := facts[0].GetFact().GetCallRequest().GetRequestTime().AsTime(); !got.Equal(first) {
		t.Errorf("call request at %v", got)
	}
}

func TestMomentsThatAreNone(t *testing.T) {
	for s, want := range map[string]string{
		"31-02-2026":                     notInMonth,
		"2026-02-29":                     notInMonth,
		"29-02-2100":                     notInMonth,
		"2026-13-01":                     notInMonth,
		"00-01-2026":                     notInMonth,
		"12/31/2026":                     notInMonth,
		"20-11-26":                       shortYear,
		"20.11.2026":                     noDate,
		"20 november 2026":               noDate,
		"20261120":                       noDate,
		"2026-11":                        noDate,
		"-11-2026":                       noDate,
		"+1-11-2026":                     noDate,
		"46346":                          noDate,
		"20-11-20266":                    noDate,
		"2026-11-20 ":                    noTime,
		"2026-11-20T":                    noTime,
		"2026-11-20 14":                  noTime,
		"2026-11-20 14:5":                noTime,
		"2026-11-20 2:05 PM":             noTime,
		"2026-11-20 14:05:06.":           noTime,
		"2026-11-20 14:05:06.1234567890": noTime,
		"2026-11-20 14:05+25:00":         noTime,
		"2026-11-20 14:05+1":             noTime,
		"2026-11-20 24:00":               notOnClock,
		"2026-11-20 14:60":               notOnClock,
		"2026-11-20T23:59:60Z":           notOnClock,
		"2026-03-29 02:00":               springGap,
		"29-03-2026 02:59:59":            springGap,
	} {
		if got, problem := readMoment(s, false); problem != want {
			t.Errorf("%q: %v, %q, want %q", s, got, problem, want)
		}
	}
}

// An objection of which only the day is known may have come after everything else of that day; today's counts at once.
func TestADateAloneOfAnObjection(t *testing.T) {
	now := time.Date(2026, 11, 20, 15, 0, 0, 0, eligibility.Amsterdam)
	for written, want := range map[string]time.Time{
		"19-11-2026":       time.Date(2026, 11, 20, 0, 0, 0, -1, eligibility.Amsterdam),
		"20-11-2026":       time.Date(2026, 11, 20, 0, 0, 0, 0, eligibility.Amsterdam),
		"24-10-2026":       time.Date(2026, 10, 25, 0, 0, 0, -1, eligibility.Amsterdam),
		"19-11-2026 00:00": time.Date(2026, 11, 19, 0, 0, 0, 0, eligibility.Amsterdam),
	} {
		for as, want := range map[cell]time.Time{latest: want, moment: midnightOf(t, written)} {
			v, fault := (&column{as: as}).read(written, now)
			if fault != nil || !v.time.AsTime().Equal(want) {
				t.Errorf("%s as %d: %v, %v, want %s", written, as, v.time, fault, want)
			}
		}
	}
}

func midnightOf(t *testing.T, s string) time.Time {
	t.Helper()
	at, problem := readMoment(s, false)
	if problem != "" {
		t.Fatal(problem)
	}
	return at
}
