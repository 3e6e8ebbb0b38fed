package eligibility

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxOfferDeadline is how long reports on a permit are in time.
const maxOfferDeadline = 24 * time.Hour

func setOfferDeadline(p *Policy, v any) error {
	s, _ := v.(string)
	d, err := parseShort(s)
	if err == nil {
		p.OfferDeadline = d
	}
	return err
}

// parseShort reads "10 minutes", "90 seconds" or "1 hour": elapsed time, from a second to maxOfferDeadline.
func parseShort(s string) (time.Duration, error) {
	number, unit, _ := strings.Cut(s, " ")
	n, err := strconv.ParseUint(number, 10, 32)
	units := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour}
	each, known := units[strings.TrimSuffix(unit, "s")]
	if err != nil || !known {
		return 0, fmt.Errorf("%q is not a time like \"10 minutes\", \"90 seconds\" or \"1 hour\"", s)
	}
	if d := time.Duration(n) * each; n > 0 && d <= maxOfferDeadline {
		return d, nil
	}
	return 0, fmt.Errorf("want 1 second to 24 hours, got %q", s)
}

// abandonedLimit is what a limit on abandoned calls begins with when it is switched on.
var abandonedLimit = Limit{Percent: 3, AtLeast: 100}

// setAbandonedLimit merges per key; "off" takes the limit away.
func setAbandonedLimit(p *Policy, v any) error {
	if v == "off" {
		p.AbandonedLimit = Limit{}
		return nil
	}
	if p.AbandonedLimit == (Limit{}) {
		p.AbandonedLimit = abandonedLimit
	}
	if err := limit(func(p *Policy) *Limit { return &p.AbandonedLimit })(p, v); err != nil {
		return orOff(err)
	}
	return nil
}

// orOff tells of the other way to write a limit that may be switched off.
func orOff(err error) error {
	if _, inside := err.(*SettingError); inside {
		return err
	}
	return fmt.Errorf("%w, or off", err)
}

// limit is a setting that merges per key.
func limit(field func(*Policy) *Limit) setting {
	return func(p *Policy, v any) error {
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("want {percent: P, at_least: N}, got %v", v)
		}
		l := *field(p)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			var err error
			switch name {
			case "percent":
				l.Percent, err = percentOf(m[name])
			case "at_least":
				l.AtLeast, err = wholeOf(m[name], 1, 1_000_000)
			default:
				err = fmt.Errorf("unknown key")
			}
			if err != nil {
				return &SettingError{name, err.Error()}
			}
		}
		*field(p) = l
		return nil
	}
}

func percentOf(v any) (float64, error) {
	f, ok := v.(float64)
	if n, whole := v.(int); whole {
		f, ok = float64(n), true
	}
	if !ok || !(f >= 0 && f <= 100) {
		return 0, fmt.Errorf("want a number from 0 to 100, got %v", v)
	}
	return f, nil
}
