package ledger

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

func checkFacts(facts []Append) error {
	if len(facts) > MaxFacts {
		return fmt.Errorf("%w: %d facts, at most %d", ErrInvalid, len(facts), MaxFacts)
	}
	size := 0
	for i := range facts {
		if err := checkFact(&facts[i]); err != nil {
			return &FactError{Index: i, Err: err}
		}
		size += len(facts[i].Payload)
	}
	if size > maxBytes {
		return fmt.Errorf("%w: %d payload bytes in one call, at most %d", ErrInvalid, size, maxBytes)
	}
	return nil
}

func checkFact(f *Append) error {
	if f.RequestKey != "" || f.Callee.IsZero() {
		if err := checkKey("request key", f.RequestKey); err != nil {
			return err
		}
	}
	if f.Reference != "" {
		if err := checkKey("reference", f.Reference); err != nil {
			return err
		}
	}
	if f.Callee.IsZero() && f.SealedNumber != nil {
		return fmt.Errorf("%w: sealed number given without a callee", ErrInvalid)
	}
	if err := checkSize("sealed number", len(f.SealedNumber), MaxSealed); err != nil {
		return err
	}
	return checkSize("payload", len(f.Payload), MaxPayload)
}

func checkErasure(e *Erasure) error {
	if e.Fact.Callee.IsZero() || e.Fact.SealedNumber != nil || e.Fact.RequestKey == "" {
		return fmt.Errorf("%w: the fact of an erasure needs a callee and a request key, and has no sealed number", ErrInvalid)
	}
	kinds, err := checkKinds(e.Kinds)
	e.Kinds = kinds
	return errors.Join(err, checkFacts([]Append{e.Fact}))
}

func checkDecisions(from, through uint64, decisions []Decision) error {
	if through < from || through > math.MaxInt64 {
		return fmt.Errorf("%w: through %d, want %d to %d", ErrInvalid, through, from, uint64(math.MaxInt64))
	}
	if len(decisions) > MaxDecisions {
		return fmt.Errorf("%w: %d decisions, at most %d", ErrInvalid, len(decisions), MaxDecisions)
	}
	size := 0
	for i := range decisions {
		if err := checkDecision(&decisions[i]); err != nil {
			return fmt.Errorf("decision %d: %w", i, err)
		}
		size += len(decisions[i].Payload)
	}
	return checkSize("payloads of all decisions", size, maxBytes)
}

func checkDecision(d *Decision) error {
	if d.Campaign != "" {
		if err := checkKey("campaign", d.Campaign); err != nil {
			return err
		}
	}
	if d.CallID != "" {
		if err := checkCallID(d.CallID); err != nil {
			return err
		}
	}
	if d.Time.Year() < 1970 || d.Time.Year() > 2200 {
		return fmt.Errorf("%w: time %v is not between 1970 and 2200", ErrInvalid, d.Time)
	}
	return checkSize("payload", len(d.Payload), MaxPayload)
}

func checkCallID(id string) error {
	if err := checkKey("call id", id); err != nil {
		return err
	}
	return checkSize("call id", len(id), MaxCallID)
}

func checkLimit(limit int) error {
	if limit < 1 || limit > MaxTail {
		return fmt.Errorf("%w: limit is %d, want 1 to %d", ErrInvalid, limit, MaxTail)
	}
	return nil
}

// checkKinds gives the kinds without repetition.
func checkKinds(kinds []int32) ([]int32, error) {
	if len(kinds) < 1 || len(kinds) > MaxKinds {
		return nil, fmt.Errorf("%w: %d kinds, want 1 to %d", ErrInvalid, len(kinds), MaxKinds)
	}
	kinds = slices.Clone(kinds)
	slices.Sort(kinds)
	return slices.Compact(kinds), nil
}

// checkKey keeps to what every engine can store and compare as text.
func checkKey(field, key string) error {
	if key == "" {
		return fmt.Errorf("%w: %s is empty", ErrInvalid, field)
	}
	if strings.IndexByte(key, 0) >= 0 || !utf8.ValidString(key) {
		return fmt.Errorf("%w: %s is not UTF-8 text without NUL", ErrInvalid, field)
	}
	return checkSize(field, len(key), MaxKey)
}

func checkSize(field string, size, most int) error {
	if size > most {
		return fmt.Errorf("%w: %s has %d bytes, at most %d", ErrInvalid, field, size, most)
	}
	return nil
}
