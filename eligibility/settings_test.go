package eligibility_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

// A wrong setting is named by its path, and leaves the policy as it was.
func TestWrongSettingsAreNamed(t *testing.T) {
	w := newWorld(t, 1)
	many := func(v ...any) []any { return v }
	for name, c := range map[string]struct {
		setting string
		value   any
		path    string
		problem string
	}{
		"unknown setting":         {"max_attempt", 3, "max_attempt", "unknown setting"},
		"no truth":                {"state_basis", "yes", "state_basis", "true or false"},
		"negative duration":       {"request_ttl", "-30 days", "request_ttl", "from 1"},
		"no unit":                 {"request_ttl", "30", "request_ttl", "duration"},
		"a number for a duration": {"consent_max_age", 12, "consent_max_age", "duration"},
		"a duration too long":     {"abandoned_cooldown", "9999 months", "abandoned_cooldown", "100 years"},
		"unknown outcome":         {"request_used_by", many("ANSWERD"), "request_used_by", "ANSWERED"},
		"a word for a list":       {"request_used_by", "ANSWERED", "request_used_by", "want a list"},
		"product as least reach":  {"objection_scope", "PRODUCT", "objection_scope", "GROUP"},
		"a sale as attending":     {"demonstration_counts", many("SALE"), "demonstration_counts", "WEBINAR"},
		"hours backwards":         {"hours", "Mon 21:00-09:00", "hours", "ends before it begins"},
		"hours that never open":   {"hours", "Mon 24:00-24:00", "hours", "ends before it begins"},
		"hours that overlap":      {"hours", "Mon-Fri 09:00-12:00, Wed 11:00-13:00", "hours", "overlap"},
		"unknown holiday":         {"holidays", many("SINTERKLAAS"), "holidays", "EASTER_MONDAY"},
		"mourning without a year": {"mourning_days", many("11-20"), "mourning_days", "2026-11-20"},
		"the same day twice":      {"early_close", map[string]any{"12-25": "12:00", "CHRISTMAS": "13:00"}, "early_close", "the same day"},
		"no time of day":          {"early_close", map[string]any{"12-24": "half past six"}, "early_close.12-24", "18:30"},
		"half open":               {"kings_day", "half", "kings_day", "closed or open"},
		"unknown exemption":       {"hours_exempt", many("EVERYBODY"), "hours_exempt", "REQUESTED_APPOINTMENT"},
		"no attempts":             {"max_attempts", map[string]any{"per_day": 0}, "max_attempts.per_day", "1 to 1000"},
		"a day for an offer":      {"offer_deadline", "1 day", "offer_deadline", "10 minutes"},
		"no time for an offer":    {"offer_deadline", "0 minutes", "offer_deadline", "1 second"},
		"too long for an offer":   {"offer_deadline", "25 hours", "offer_deadline", "24 hours"},
		"an offer without end":    {"offer_deadline", "4294967295 hours", "offer_deadline", "24 hours"},
		"a debt limit off":        {"offer_debt_limit", "off", "offer_debt_limit", "{percent"},
		"over all calls":          {"offer_debt_limit", map[string]any{"percent": 101}, "offer_debt_limit.percent", "0 to 100"},
		"less than no call":       {"offer_debt_limit", map[string]any{"percent": math.NaN()}, "offer_debt_limit.percent", "0 to 100"},
		"none at least":           {"offer_debt_limit", map[string]any{"at_least": 0}, "offer_debt_limit.at_least", "from 1"},
		"a share in words":        {"abandoned_limit", "never", "abandoned_limit", "or off"},
		"an unknown share":        {"abandoned_limit", map[string]any{"share": 3}, "abandoned_limit.share", "unknown key"},
		"unknown limit":           {"max_attempts", map[string]any{"per_week": 3}, "max_attempts.per_week", "unknown key"},
		"half an attempt":         {"max_attempts", map[string]any{"per_day": 1.5}, "max_attempts.per_day", "whole number"},
		"the same range twice":    {"caller_id_ranges", map[string]any{"084": "ALLOW", "+3184": "DENY"}, "caller_id_ranges", "the same range"},
		"no range":                {"caller_id_ranges", map[string]any{"84": "ALLOW"}, "caller_id_ranges", "number range"},
		"maybe":                   {"caller_id_ranges", map[string]any{"084": "MAYBE"}, "caller_id_ranges.084", "ALLOW or DENY"},
		"unborn":                  {"minimum_age", -1, "minimum_age", "0 to 120"},
		"a list without its age":  {"required_lists", map[string]any{"TPS": map[string]any{"age": "1 day"}}, "required_lists.TPS.age", "unknown key"},
		"a list of a bad age":     {"required_lists", map[string]any{"TPS": map[string]any{"max_age": "soon"}}, "required_lists.TPS.max_age", "duration"},
	} {
		_, err := w.law.Defaults.Override(map[string]any{c.setting: c.value})
		var wrong *SettingError
		if !errors.As(err, &wrong) || wrong.Setting != c.path || !strings.Contains(wrong.Problem, c.problem) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A limit on abandoned calls is on with the usual figures, changed key by key, switched off and on again.
func TestALimitIsSwitchedOnAndOff(t *testing.T) {
	p := &newWorld(t, 1).law.Defaults
	if p.AbandonedLimit != (Limit{Percent: 3, AtLeast: 100}) || p.OfferDebtLimit != (Limit{Percent: 2, AtLeast: 5}) || p.OfferDeadline != 10*time.Minute {
		t.Errorf("the defaults are %v, %v, %v", p.AbandonedLimit, p.OfferDebtLimit, p.OfferDeadline)
	}
	for _, step := range []struct {
		value any
		want  Limit
	}{
		{map[string]any{}, Limit{3, 100}},
		{map[string]any{"at_least": 50}, Limit{3, 50}},
		{map[string]any{"percent": 2.5}, Limit{2.5, 50}},
		{"off", Limit{}},
		{map[string]any{"at_least": 10.0}, Limit{3, 10}},
	} {
		var err error
		if p, err = p.Override(map[string]any{"abandoned_limit": step.value}); err != nil || p.AbandonedLimit != step.want {
			t.Fatalf("after %v: %v, %v", step.value, p, err)
		}
	}
	if p, err := p.Override(map[string]any{"offer_deadline": "90 seconds"}); err != nil || p.OfferDeadline != 90*time.Second {
		t.Errorf("a deadline in seconds: %v", err)
	}
}
