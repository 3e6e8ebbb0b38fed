package eligibility_test

import (
	"regexp"
	"strings"
)

// plan is the Dutch numbering plan as a table, row by row: the digits after +31, and what may be done with such a number
// as destination and as caller ID. What stands in no row is unassigned.
var plan = []struct {
	digits             *regexp.Regexp
	callee, callerShow string
}{
	{regexp.MustCompile(`^39\d{7}$`), "invalid", "deny"},
	{regexp.MustCompile(`^14\d{3,4}$`), "deny", "deny"},
	{regexp.MustCompile(`^14\d*$`), "invalid", "deny"},
	{regexp.MustCompile(`^[123457]\d{8}$`), "allow", "allow"},
	{regexp.MustCompile(`^6[123458]\d{7}$`), "allow", "allow"},
	{regexp.MustCompile(`^6[079]\d{7}$`), "invalid", "deny"},
	{regexp.MustCompile(`^66\d{7}$`), "deny", "deny"},
	{regexp.MustCompile(`^(85|91)\d{7}$`), "allow", "allow"},
	{regexp.MustCompile(`^88\d{7}$`), "allow", "allow"},
	{regexp.MustCompile(`^8[47]\d{7}$`), "deny", "deny"},
	{regexp.MustCompile(`^82\d*$`), "invalid", "deny"},
	{regexp.MustCompile(`^800(\d{4}|\d{7})$`), "deny", "allow"},
	{regexp.MustCompile(`^90[069]\d{4,7}$`), "deny", "deny"},
	{regexp.MustCompile(`^97\d{9}$`), "deny", "deny"},
}

func inPlan(number string) (callee, callerShow string) {
	for _, row := range plan {
		if row.digits.MatchString(strings.TrimPrefix(number, "+31")) {
			return row.callee, row.callerShow
		}
	}
	return "invalid", "deny"
}

func foreign(number string) bool { return number != "" && !strings.HasPrefix(number, "+31") }

func calleeFault(number string) string {
	if foreign(number) {
		return ""
	}
	switch callee, _ := inPlan(number); {
	case number == "" || callee == "invalid":
		return "CALLEE_INVALID"
	case callee == "deny":
		return "CALLEE_RANGE"
	}
	return ""
}

// callerIDFault is the first thing that is wrong with the caller ID.
func (q *question) callerIDFault() string {
	shown := q.call.Presentation == 0 || q.call.Presentation.String() == "ALLOWED"
	if !shown {
		return "CALLER_ID_WITHHELD"
	}
	if !q.showable(q.call.CallerID) {
		return "CALLER_ID_RANGE"
	}
	fault := "CALLER_ID_NOT_REGISTERED"
	for _, r := range q.registrations[q.call.CallerID] {
		begun := r.ValidFrom.IsZero() || !r.ValidFrom.After(q.at)
		over := !r.ValidUntil.IsZero() && !q.at.Before(r.ValidUntil)
		if r.Organisation != q.organisation.ID || !begun || over {
			continue
		}
		tested := !r.CallbackTestedAt.IsZero() && !r.CallbackTestedAt.After(q.at) && q.at.Before(after(r.CallbackTestedAt, q.policy.CallerIDTestMaxAge))
		if tested && (r.PublishedURL != "" || !q.policy.CallerIDPublishedRequired) {
			return ""
		}
		fault = "CALLER_ID_NOT_REACHABLE"
	}
	return fault
}

func (q *question) showable(number string) bool {
	if number == "" {
		return false
	}
	if foreign(number) {
		return q.policy.CallerIDForeignAllowed
	}
	_, show := inPlan(number)
	longest := ""
	var allowed bool
	for _, o := range q.policy.CallerIDRanges {
		if strings.HasPrefix(number, o.Prefix) && len(o.Prefix) > len(longest) {
			longest, allowed = o.Prefix, o.Allowed
		}
	}
	if longest == "" {
		return show == "allow"
	}
	callee, _ := inPlan(number)
	return allowed && callee != "invalid"
}
