package eligibility_test

import (
	"errors"
	"strings"
	"testing"

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
