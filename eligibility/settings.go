package eligibility

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SettingError says which policy setting is wrong.
type SettingError struct {
	Setting string // its path, such as "max_attempts.per_day"
	Problem string
}

func (e *SettingError) Error() string { return "setting " + e.Setting + ": " + e.Problem }

// Settings names every policy setting, in alphabetical order.
func Settings() []string { return slices.Sorted(maps.Keys(settings)) }

// Override is the policy with settings laid over it; p stays as it is. Values are what YAML, JSON or
// google.protobuf.Struct give: bool, string, float64 or int, []any, map[string]any. An unknown setting or word is a
// *SettingError. Maps merge per key.
func (p *Policy) Override(values map[string]any) (*Policy, error) {
	q := *p
	for _, name := range slices.Sorted(maps.Keys(values)) {
		set, ok := settings[name]
		if !ok {
			return nil, &SettingError{name, "unknown setting"}
		}
		if err := set(&q, values[name]); err != nil {
			return nil, at(name, err)
		}
	}
	q.roundTheClock = q.neverCloses()
	return &q, q.validate()
}

// at puts a setting's name before the path of an error inside it.
func at(name string, err error) error {
	if inner, ok := err.(*SettingError); ok {
		return &SettingError{name + "." + inner.Setting, inner.Problem}
	}
	return &SettingError{name, err.Error()}
}

// validate refuses a policy that could never allow a call by mistake.
func (p *Policy) validate() error {
	if p.opening(Instant(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())) == Never {
		return &SettingError{"hours", "the hours never open"}
	}
	return nil
}

// setting lays one value over a policy.
type setting func(*Policy, any) error

var settings = map[string]setting{
	"require_verified_consent":     flag(func(p *Policy) *bool { return &p.RequireVerifiedConsent }),
	"consent_max_age":              duration(func(p *Policy) *Duration { return &p.ConsentMaxAge }),
	"first_call_within":            duration(func(p *Policy) *Duration { return &p.FirstCallWithin }),
	"allow_bundled_channels":       flag(func(p *Policy) *bool { return &p.AllowBundledChannels }),
	"relationship_term":            duration(func(p *Policy) *Duration { return &p.RelationshipTerm }),
	"pre2021_collection_waiver":    flag(func(p *Policy) *bool { return &p.Pre2021CollectionWaiver }),
	"request_ttl":                  duration(func(p *Policy) *Duration { return &p.RequestTTL }),
	"request_used_by":              setRequestUsedBy,
	"objection_scope":              setObjectionScope,
	"reconsent_after_objection":    choice(func(p *Policy) *bool { return &p.ReconsentNever }, "OWN_INITIATIVE", "NEVER"),
	"demonstration_counts":         setDemonstrationCounts,
	"in_formation_is_natural":      flag(func(p *Policy) *bool { return &p.InFormationIsNatural }),
	"private_line_is_natural":      flag(func(p *Policy) *bool { return &p.PrivateLineIsNatural }),
	"legal_person_objection":       flag(func(p *Policy) *bool { return &p.LegalPersonObjection }),
	"allow_donor_automated":        flag(func(p *Policy) *bool { return &p.AllowDonorAutomated }),
	"digital_only_publisher":       flag(func(p *Policy) *bool { return &p.DigitalOnlyPublisher }),
	"hours":                        setHours,
	"early_close":                  setEarlyClose,
	"holidays":                     setHolidays,
	"mourning_days":                setMourningDays,
	"kings_day":                    choice(func(p *Policy) *bool { return &p.KingsDayOpen }, "closed", "open"),
	"liberation_day":               choice(func(p *Policy) *bool { return &p.LiberationDayOpen }, "closed", "open"),
	"hours_exempt":                 setHoursExempt,
	"max_attempts":                 setMaxAttempts,
	"offer_deadline":               setOfferDeadline,
	"offer_debt_limit":             limit(func(p *Policy) *Limit { return &p.OfferDebtLimit }),
	"abandoned_limit":              setAbandonedLimit,
	"abandoned_cooldown":           duration(func(p *Policy) *Duration { return &p.AbandonedCooldown }),
	"caller_id_foreign":            choice(func(p *Policy) *bool { return &p.CallerIDForeignAllowed }, "DENY", "ALLOW"),
	"caller_id_ranges":             setCallerIDRanges,
	"caller_id_test_max_age":       duration(func(p *Policy) *Duration { return &p.CallerIDTestMaxAge }),
	"caller_id_published_required": flag(func(p *Policy) *bool { return &p.CallerIDPublishedRequired }),
	"minimum_age":                  setMinimumAge,
	"required_lists":               setRequiredLists,
	"state_basis":                  flag(func(p *Policy) *bool { return &p.StateBasis }),
}

func flag(field func(*Policy) *bool) setting {
	return func(p *Policy, v any) error {
		b, ok := v.(bool)
		if !ok {
			return fmt.Errorf("want true or false, got %v", v)
		}
		*field(p) = b
		return nil
	}
}

// choice is a setting of two words, of which the second sets the field.
func choice(field func(*Policy) *bool, off, on string) setting {
	return func(p *Policy, v any) error {
		switch v {
		case off:
			*field(p) = false
		case on:
			*field(p) = true
		default:
			return fmt.Errorf("want %s or %s, got %v", off, on, v)
		}
		return nil
	}
}

func duration(field func(*Policy) *Duration) setting {
	return func(p *Policy, v any) error {
		d, err := durationOf(v)
		if err == nil {
			*field(p) = d
		}
		return err
	}
}

func durationOf(v any) (Duration, error) {
	s, ok := v.(string)
	if !ok {
		return Duration{}, fmt.Errorf("want a duration such as \"6 months\", got %v", v)
	}
	return ParseDuration(s)
}

func setRequestUsedBy(p *Policy, v any) error {
	words, err := texts(v)
	if err != nil {
		return err
	}
	var set OutcomeSet
	for _, w := range words {
		o, err := ParseWord[Outcome](w)
		if err != nil {
			return err
		}
		set = set.With(o)
	}
	p.RequestUsedBy = set
	return nil
}

func setObjectionScope(p *Policy, v any) error {
	s, _ := v.(string)
	scope, err := ParseWord[ObjectionScope](s)
	if err != nil || scope == ScopeProduct {
		return fmt.Errorf("want ORGANISATION, BRAND or GROUP, got %v", v)
	}
	p.ObjectionScope = scope
	return nil
}

// countable are the kinds of relationship that may count as attending a manifestation.
var countable = RelationshipSet(0).With(Demonstration).With(Concert).With(Petition).With(Webinar)

func setDemonstrationCounts(p *Policy, v any) error {
	words, err := texts(v)
	if err != nil {
		return err
	}
	var set RelationshipSet
	for _, w := range words {
		k, err := ParseWord[RelationshipKind](w)
		if err != nil || !countable.Has(k) {
			return fmt.Errorf("want some of DEMONSTRATION, CONCERT, PETITION and WEBINAR, got %q", w)
		}
		set = set.With(k)
	}
	p.DemonstrationCounts = set
	return nil
}

func setHours(p *Policy, v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("want hours such as \"Mon-Fri 09:00-21:00, Sat 10:00-16:00\", got %v", v)
	}
	week, err := ParseWeek(s)
	if err == nil {
		p.Week = week
	}
	return err
}

func setHolidays(p *Policy, v any) error {
	words, err := texts(v)
	if err != nil {
		return err
	}
	days := make([]YearDay, 0, len(words))
	for _, w := range words {
		d, err := ParseYearDay(w)
		if err != nil {
			return err
		}
		days = append(days, d)
	}
	p.Holidays = days
	return nil
}

func setMourningDays(p *Policy, v any) error {
	words, err := texts(v)
	if err != nil {
		return err
	}
	days := make([]Date, 0, len(words))
	for _, w := range words {
		d, err := ParseDate(w)
		if err != nil {
			return err
		}
		days = append(days, d)
	}
	p.MourningDays = days
	return nil
}

// setEarlyClose merges per day; null or "24:00" lets a day close as usual.
func setEarlyClose(p *Policy, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("want days with times such as {12-24: \"18:30\"}, got %v", v)
	}
	closes, spelled := slices.Clone(p.EarlyClose), map[YearDay]string{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		day, err := ParseYearDay(name)
		if err != nil {
			return err
		}
		if other, twice := spelled[day]; twice {
			return fmt.Errorf("%q and %q are the same day", other, name)
		}
		spelled[day] = name
		until := 1440
		if m[name] != nil {
			s, _ := m[name].(string)
			if until, err = parseMinute(s); err != nil {
				return &SettingError{name, err.Error()}
			}
		}
		closes = slices.DeleteFunc(closes, func(e EarlyClose) bool { return e.Day == day })
		if until < 1440 {
			closes = append(closes, EarlyClose{day, until})
		}
	}
	p.EarlyClose = closes
	return nil
}

func setHoursExempt(p *Policy, v any) error {
	words, err := texts(v)
	if err != nil {
		return err
	}
	p.AppointmentExempt = false
	for _, w := range words {
		if w != "REQUESTED_APPOINTMENT" {
			return fmt.Errorf("want REQUESTED_APPOINTMENT, got %q", w)
		}
		p.AppointmentExempt = true
	}
	return nil
}

func setMaxAttempts(p *Policy, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("want {per_day: N, per_campaign: N}, got %v", v)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		n, err := wholeOf(m[name], 1, 1000)
		if err != nil {
			return &SettingError{name, err.Error()}
		}
		switch name {
		case "per_day":
			p.MaxAttemptsPerDay = n
		case "per_campaign":
			p.MaxAttemptsPerCampaign = n
		default:
			return &SettingError{name, "unknown key"}
		}
	}
	return nil
}

// setCallerIDRanges merges per range; a range is written as the plan does ("084") or as E.164 ("+3184").
func setCallerIDRanges(p *Policy, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("want ranges such as {\"084\": ALLOW}, got %v", v)
	}
	ranges, spelled := slices.Clone(p.CallerIDRanges), map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		prefix, err := parsePrefix(name)
		if err != nil {
			return err
		}
		if other, twice := spelled[prefix]; twice {
			return fmt.Errorf("%q and %q are the same range", other, name)
		}
		spelled[prefix] = name
		if m[name] != "ALLOW" && m[name] != "DENY" {
			return &SettingError{name, fmt.Sprintf("want ALLOW or DENY, got %v", m[name])}
		}
		ranges = slices.DeleteFunc(ranges, func(r RangeOverride) bool { return r.Prefix == prefix })
		ranges = append(ranges, RangeOverride{prefix, m[name] == "ALLOW"})
	}
	p.CallerIDRanges = ranges
	return nil
}

func parsePrefix(s string) (string, error) {
	digits, national := strings.CutPrefix(s, "0")
	if !national {
		digits = strings.TrimPrefix(s, "+")
	}
	if digits == "" || len(digits) > 14 || strings.Trim(digits, "0123456789") != "" || !national && s[0] != '+' {
		return "", fmt.Errorf("%q is not a number range like \"084\" or \"+3184\"", s)
	}
	if national {
		return "+31" + digits, nil
	}
	return s, nil
}

func setMinimumAge(p *Policy, v any) error {
	n, err := wholeOf(v, 0, 120)
	if err == nil {
		p.MinimumAge = n
	}
	return err
}

// setRequiredLists merges per list; null takes a list away.
func setRequiredLists(p *Policy, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("want lists such as {ONDERZOEKFILTER: {max_age: 31 days}}, got %v", v)
	}
	lists := slices.Clone(p.RequiredLists)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		lists = slices.DeleteFunc(lists, func(l RequiredList) bool { return l.Name == name })
		if m[name] == nil {
			continue
		}
		list, err := requiredList(name, m[name])
		if err != nil {
			return at(name, err)
		}
		lists = append(lists, list)
	}
	p.RequiredLists = lists
	return nil
}

func requiredList(name string, v any) (RequiredList, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return RequiredList{}, fmt.Errorf("want {max_age: 31 days}, got %v", v)
	}
	list := RequiredList{Name: name}
	for key, value := range m {
		if key != "max_age" {
			return RequiredList{}, &SettingError{key, "unknown key"}
		}
		age, err := durationOf(value)
		if err != nil {
			return RequiredList{}, at(key, err)
		}
		list.MaxAge = age
	}
	return list, nil
}

// texts reads a list of words.
func texts(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("want a list, got %v", v)
	}
	words := make([]string, 0, len(list))
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			return nil, fmt.Errorf("want words, got %v", item)
		}
		words = append(words, s)
	}
	return words, nil
}

// wholeOf reads a whole number in a range.
func wholeOf(v any, low, high int) (int, error) {
	n, ok := v.(int)
	if f, isFloat := v.(float64); isFloat && f == float64(int(f)) {
		n, ok = int(f), true
	}
	if !ok || n < low || n > high {
		return 0, fmt.Errorf("want a whole number from %d to %d, got %v", low, high, v)
	}
	return n, nil
}

var weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// ParseWeek reads hours such as "Mon-Fri 09:00-21:00, Sat 10:00-16:00"; 24:00 is the end of the day. Intervals of one day
// may not overlap.
func ParseWeek(s string) (Week, error) {
	var week Week
	for part := range strings.SplitSeq(s, ",") {
		days, times, ok := strings.Cut(strings.TrimSpace(part), " ")
		if !ok {
			return week, fmt.Errorf("%q is not like \"Mon-Fri 09:00-21:00\"", strings.TrimSpace(part))
		}
		first, last, err := parseDays(days)
		if err != nil {
			return week, err
		}
		interval, err := parseInterval(times)
		if err != nil {
			return week, err
		}
		for d := first; ; d = (d + 1) % 7 {
			if week[d], err = insert(week[d], interval); err != nil {
				return week, fmt.Errorf("%s: %w", weekdays[d], err)
			}
			if d == last {
				break
			}
		}
	}
	return week, nil
}

func parseDays(s string) (first, last int, err error) {
	from, to, ranged := strings.Cut(s, "-")
	if !ranged {
		to = from
	}
	first, last = slices.Index(weekdays, from), slices.Index(weekdays, to)
	if first < 0 || last < 0 {
		return 0, 0, fmt.Errorf("%q is not a day or days like Mon or Mon-Fri", s)
	}
	return first, last, nil
}

func parseInterval(s string) (Interval, error) {
	from, until, ok := strings.Cut(strings.TrimSpace(s), "-")
	if !ok {
		return Interval{}, fmt.Errorf("%q is not like 09:00-21:00", s)
	}
	f, err := parseMinute(from)
	if err != nil {
		return Interval{}, err
	}
	u, err := parseMinute(until)
	if err != nil {
		return Interval{}, err
	}
	if f >= u {
		return Interval{}, fmt.Errorf("%q ends before it begins", s)
	}
	return Interval{f, u}, nil
}

// parseMinute reads HH:MM up to 24:00.
func parseMinute(s string) (int, error) {
	if len(s) == 5 && s[2] == ':' {
		h, errH := strconv.ParseUint(s[:2], 10, 8)
		m, errM := strconv.ParseUint(s[3:], 10, 8)
		if minute := int(h)*60 + int(m); errH == nil && errM == nil && m < 60 && minute <= 1440 {
			return minute, nil
		}
	}
	return 0, fmt.Errorf("%q is not a time of day like 18:30", s)
}

func insert(day []Interval, iv Interval) ([]Interval, error) {
	for _, other := range day {
		if iv.From < other.Until && other.From < iv.Until {
			return nil, fmt.Errorf("intervals overlap")
		}
	}
	day = append(slices.Clone(day), iv)
	slices.SortFunc(day, func(a, b Interval) int { return a.From - b.From })
	return day, nil
}
