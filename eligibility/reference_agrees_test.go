package eligibility_test

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

// engine asks the engine, in the reference's words.
func engine(w *world, call *Call, facts []Fact, at time.Time) answer {
	d := Decide(fold(facts), call, w.cat, w.law, at)
	a := answer{verdict: d.Verdict.String(), headline: d.Reason.String(), article: d.Basis.Article, retry: d.RetryTime}
	for _, r := range d.Reasons.List() {
		a.reasons = append(a.reasons, r.String())
	}
	for _, o := range d.Obligations.List() {
		a.obligations = append(a.obligations, o.String())
	}
	return a
}

// differs says in what two answers differ; "" where they agree.
func differs(e, r answer) string {
	switch {
	case e.verdict != r.verdict:
		return "verdict"
	case e.headline != r.headline:
		return "headline"
	case !slices.Equal(e.reasons, r.reasons):
		return "reasons"
	case e.article != r.article:
		return "article"
	case !slices.Equal(e.obligations, r.obligations):
		return "obligations"
	case !e.retry.Equal(r.retry):
		return "retry time"
	}
	return ""
}

// referencePairs is how many pairs are tried: in the normal run, or with SOAK set.
func referencePairs(normal, soak int) int {
	if os.Getenv("SOAK") != "" {
		return soak
	}
	return normal
}

// referenceSeed is SEED, or another one every time.
func referenceSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	if s := os.Getenv("SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatalf("SEED: %v", err)
		}
	}
	t.Logf("SEED=%d", seed)
	return seed
}

// T22: the engine and the slow reference answer alike, over every reason that there is.
func TestReferenceAgrees(t *testing.T) {
	seed, pairs := referenceSeed(t), referencePairs(agreeingPairs, 1_000_000)
	least := pairs / 2000
	met, heads := map[string]int{}, map[string]int{}
	var w *world
	var ref *reference
	for i := range pairs {
		if i%2000 == 0 {
			w, ref = newReference(t, seed+uint64(i)) //nolint:gosec // small
		}
		call, facts, at := w.pair()
		r := ref.answer(call, facts, at)
		if what := differs(engine(w, call, facts, at), r); what != "" {
			t.Fatalf("pair %d of SEED=%d: another %s\n%s", i, seed, what, shrunk(w, ref, call, facts, at))
		}
		if why := unproven(w, ref, call, facts, at); why != "" {
			t.Fatalf("pair %d of SEED=%d: %s\n%s", i, seed, why, described(w, ref, call, facts, at))
		}
		heads[r.headline]++
		for _, reason := range r.reasons {
			met[reason]++
		}
	}
	for _, reason := range append(grounds[:len(grounds):len(grounds)], headlines...) {
		t.Logf("%-34s met %7d times, headline %7d times", reason, met[reason], heads[reason])
		if met[reason] < least {
			t.Errorf("%s was met %d times in %d pairs, want %d", reason, met[reason], pairs, least)
		}
	}
}

// unproven says why the fact that an answer names as its evidence does not carry the call alone; "" where it does.
func unproven(w *world, ref *reference, call *Call, facts []Fact, at time.Time) string {
	d := Decide(fold(facts), call, w.cat, w.law, at)
	if d.Basis.Position == 0 {
		return ""
	}
	kept := slices.DeleteFunc(slices.Clone(facts), func(f Fact) bool {
		evidence := f.Consent != nil || f.CallRequest != nil || f.Relationship != nil
		return evidence && f.Position != d.Basis.Position
	})
	if held, _ := ref.ask(call, kept, at).basis(); held.kind != d.Reason.String() {
		return fmt.Sprintf("%s is said to rest on position %d, which does not carry it", d.Reason, d.Basis.Position)
	}
	return ""
}

// Of two statements about the subscriber of the same moment and position one counts whole, whichever comes first.
func TestReferenceTiedSubscribers(t *testing.T) {
	seed := referenceSeed(t)
	w, ref := newReference(t, seed)
	for range 3000 {
		call, facts, at := w.pair()
		facts = slices.DeleteFunc(facts, func(f Fact) bool { return f.Subscriber != nil })
		one, two := w.subscriber(at), w.subscriber(at)
		two.Since = one.Since
		first, second := Fact{Subscriber: one}, Fact{Subscriber: two}
		e := engine(w, call, append([]Fact{first, second}, facts...), at)
		if what := differs(e, engine(w, call, append([]Fact{second, first}, facts...), at)); what != "" {
			t.Fatalf("SEED=%d: another %s in another order:\n%s\n%s", seed, what, spelled(one), spelled(two))
		}
		if differs(e, ref.answer(call, append(facts, first), at)) != "" && differs(e, ref.answer(call, append(facts, second), at)) != "" {
			t.Fatalf("SEED=%d: neither statement gives this answer: %s\n%s\n%s", seed, e, spelled(one), spelled(two))
		}
	}
}

// shrunk leaves out every fact without which the same answers differ, and writes what is left for people.
func shrunk(w *world, ref *reference, call *Call, facts []Fact, at time.Time) string {
	for i := 0; i < len(facts); {
		fewer := slices.Delete(slices.Clone(facts), i, i+1)
		if differs(engine(w, call, fewer, at), ref.answer(call, fewer, at)) != "" {
			facts = fewer
			continue
		}
		i++
	}
	return described(w, ref, call, facts, at)
}

// described writes a question and both answers for people.
func described(w *world, ref *reference, call *Call, facts []Fact, at time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "at %s (%s)\n", at.In(dutchZone).Format(time.RFC3339Nano), at.In(dutchZone).Weekday())
	fmt.Fprintf(&b, "call to %q from %q %s person %q mode %s dialing %s\n", call.Callee, call.CallerID, call.Presentation, call.Person, call.Mode, call.Dialing)
	c := *call.Campaign
	settings := overrides[c.ID[len(c.ID)-1]-'a']
	c.Policy, c.Organisation = nil, nil
	fmt.Fprintf(&b, "campaign %s\norganisation %s\nsettings %v\n", spelled(c), spelled(*call.Campaign.Organisation), settings)
	for _, f := range facts {
		fmt.Fprintf(&b, "- position %d: %s\n", f.Position, spelled(f))
	}
	fmt.Fprintf(&b, "engine:    %s\nreference: %s\n", engine(w, call, facts, at), ref.answer(call, facts, at))
	return b.String()
}

func (a answer) String() string {
	return fmt.Sprintf("%s %s %v article %q obligations %v retry %s", a.verdict, a.headline, a.reasons, a.article, a.obligations, a.retry.In(dutchZone))
}

// spelled writes what is set in a fact, field by field.
func spelled(v any) string {
	value := reflect.ValueOf(v)
	if value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	if stringer, ok := value.Interface().(fmt.Stringer); ok {
		return stringer.String()
	}
	if value.Kind() == reflect.Slice {
		var items []string
		for i := range value.Len() {
			items = append(items, spelled(value.Index(i).Interface()))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	if value.Kind() != reflect.Struct {
		return fmt.Sprintf("%v", value)
	}
	var parts []string
	for i := range value.NumField() {
		if field := value.Field(i); !field.IsZero() {
			parts = append(parts, value.Type().Field(i).Name+": "+spelled(field.Interface()))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
