package ledgertest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
)

var decided = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// made is the n-th of decisions a second apart, with an id as the service makes them.
func made(n int) ledger.Decision {
	d := ledger.Decision{
		Time: decided.Add(time.Duration(n) * time.Second), Callee: Callee(n % 3), Campaign: []string{"autumn", "winter"}[n%2],
		Verdict: int32(n%2 + 1), Reason: int32(n % 5), Payload: fmt.Appendf(nil, "made %d", n),
	}
	for i, ms := 5, d.Time.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
		d.ID[i] = byte(ms)
	}
	copy(d.ID[6:], fmt.Sprintf("%010d", n))
	return d
}

func madeAll(from, through int) []ledger.Decision {
	var all []ledger.Decision
	for n := from; n < through; n++ {
		all = append(all, made(n))
	}
	return all
}

func ship(t *testing.T, l ledger.Ledger, source string, from, through uint64, d ...ledger.Decision) {
	t.Helper()
	if err := l.ShipDecisions(t.Context(), source, from, through, d); err != nil {
		t.Fatalf("shipping: %v", err)
	}
}

func idsOf(decisions []ledger.Decision) (ids [][16]byte) {
	for i := range decisions {
		ids = append(ids, decisions[i].ID)
	}
	return ids
}

func decisionsAreFoundByCall(t *testing.T, l ledger.Ledger) {
	all := madeAll(0, 6)
	for i, call := range []string{"a", "b", "a", "", "", "a"} {
		all[i].CallID = call
	}
	ship(t, l, "j", 0, 1, all[3], all[5], all[0])
	ship(t, l, "j", 1, 2, all[1], all[2], all[4])
	for call, want := range map[string][]ledger.Decision{"a": {all[5], all[2], all[0]}, "b": {all[1]}, "c": nil, "A": nil} {
		got, err := l.DecisionsByCall(t.Context(), call, 10)
		if err != nil || !slices.Equal(idsOf(got), idsOf(want)) {
			t.Errorf("call %q: %d decisions, %v, want %d", call, len(got), err, len(want))
		}
	}
	got, err := l.DecisionsByCall(t.Context(), "a", 2)
	if err != nil || !slices.Equal(idsOf(got), idsOf([]ledger.Decision{all[5], all[2]})) || got[0].CallID != "a" || string(got[0].Payload) != "made 5" {
		t.Errorf("the newest two: %+v, %v", got, err)
	}
}

// decisionsAreListed compares every filter with going through all decisions one by one.
func decisionsAreListed(t *testing.T, l ledger.Ledger) {
	const n = 40
	ship(t, l, "j", 0, n, madeAll(0, n)...)
	at := func(n int) time.Time { return decided.Add(time.Duration(n) * time.Second) }
	for what, f := range map[string]ledger.DecisionFilter{
		"all":        {},
		"campaign":   {Campaign: "winter"},
		"callee":     {Callee: Callee(2)},
		"verdict":    {Verdict: 1},
		"reason":     {Reason: 3},
		"from":       {From: at(7)},
		"until":      {Until: at(7)},
		"between":    {From: at(7), Until: at(9).Add(1)},
		"before":     {Before: made(12).ID},
		"none":       {Campaign: "spring"},
		"long ago":   {From: time.Time{}.AddDate(1, 0, 0), Until: time.Unix(0, 0)},
		"far ahead":  {Until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		"everything": {Campaign: "winter", Callee: Callee(0), Verdict: 2, Reason: 1, From: at(1), Until: at(39), Before: made(30).ID},
	} {
		var want [][16]byte
		for i := n - 1; i >= 0; i-- {
			if d := made(i); passes(&d, &f) {
				want = append(want, d.ID)
			}
		}
		got, err := l.ListDecisions(t.Context(), f, n)
		if err != nil || !slices.Equal(idsOf(got), want) {
			t.Errorf("%s: %d decisions, %v, want %d", what, len(got), err, len(want))
		}
	}
	pagesJoin(t, l, n)
}

func passes(d *ledger.Decision, f *ledger.DecisionFilter) bool {
	return (f.Campaign == "" || f.Campaign == d.Campaign) && (f.Callee == eligibility.CalleeToken{} || f.Callee == d.Callee) &&
		(f.Verdict == 0 || f.Verdict == d.Verdict) && (f.Reason == 0 || f.Reason == d.Reason) &&
		(f.From.IsZero() || !d.Time.Before(f.From)) && (f.Until.IsZero() || d.Time.Before(f.Until)) &&
		(f.Before == [16]byte{} || slices.Compare(d.ID[:], f.Before[:]) < 0)
}

// pagesJoin goes on with each answer's last id.
func pagesJoin(t *testing.T, l ledger.Ledger, n int) {
	var seen [][16]byte
	f := ledger.DecisionFilter{}
	for {
		page, err := l.ListDecisions(t.Context(), f, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		seen = append(seen, idsOf(page)...)
		f.Before = page[len(page)-1].ID
	}
	want := idsOf(madeAll(0, n))
	slices.Reverse(want)
	if !slices.Equal(seen, want) {
		t.Errorf("the pages hold %d decisions, want %d", len(seen), len(want))
	}
}

func allowed(t *testing.T, l ledger.Ledger, after uint64, limit int) []ledger.Shipped {
	t.Helper()
	got, err := l.AllowedAfter(t.Context(), after, limit)
	if err != nil {
		t.Fatalf("AllowedAfter: %v", err)
	}
	return got
}

// allowsAreNumbered: ALLOWs only, in the order of shipping, a repeated one once, and page by page.
func allowsAreNumbered(t *testing.T, l ledger.Ledger) {
	if got := allowed(t, l, 0, 10); len(got) != 0 {
		t.Fatalf("an empty ledger gives %d", len(got))
	}
	ship(t, l, "j", 0, 1, made(8), made(1), made(2))
	ship(t, l, "k", 0, 1, made(3))
	ship(t, l, "k", 1, 2, made(4), made(8), made(0))
	want := [][16]byte{made(8).ID, made(2).ID, made(4).ID, made(0).ID}
	var seen [][16]byte
	after := uint64(0)
	for page := allowed(t, l, after, 3); len(page) > 0; page = allowed(t, l, after, 3) {
		for _, s := range page {
			if s.Number <= after {
				t.Fatalf("number %d follows %d", s.Number, after)
			}
			wantDecision(t, l, s.Decision)
			after, seen = s.Number, append(seen, s.ID)
		}
	}
	if !slices.Equal(seen, want) {
		t.Errorf("%d ALLOWs, want %d: %q", len(seen), len(want), seen)
	}
	if got := allowed(t, l, 1<<63, 10); len(got) != 0 {
		t.Errorf("after everything: %d", len(got))
	}
}

// racingAllowsAreSeenOnce has a follower go on after the last number while several journals are shipped.
func racingAllowsAreSeenOnce(t *testing.T, l ledger.Ledger) {
	const shippers, shipments, each = 4, 15, 4
	var work sync.WaitGroup
	for s := range shippers {
		work.Go(func() {
			for i := range shipments {
				first := (s*shipments + i) * each
				ship(t, l, fmt.Sprint("journal ", s), uint64(i), uint64(i+1), madeAll(first, first+each)...)
			}
		})
	}
	shipped := make(chan struct{})
	go func() { work.Wait(); close(shipped) }()
	seen := map[[16]byte]bool{}
	after, last := uint64(0), false
	for {
		page := allowed(t, l, after, 5)
		for _, s := range page {
			if seen[s.ID] || s.Number <= after {
				t.Fatalf("number %d after %d, seen already: %v", s.Number, after, seen[s.ID])
			}
			seen[s.ID], after = true, s.Number
		}
		if len(page) > 0 {
			continue
		}
		if last {
			break
		}
		select {
		case <-shipped:
			last = true
		default:
		}
	}
	if want := shippers * shipments * each / 2; len(seen) != want {
		t.Errorf("the follower saw %d ALLOWs of %d", len(seen), want)
	}
}

// allowedFromMissesNone: an old ALLOW may arrive late, and a young one early.
func allowedFromMissesNone(t *testing.T, l ledger.Ledger) {
	from := func(n int) (ids [][16]byte) {
		after, err := l.AllowedFrom(t.Context(), made(n).Time)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range allowed(t, l, after, 100) {
			ids = append(ids, s.ID)
		}
		return ids
	}
	if got := from(0); len(got) != 0 {
		t.Fatalf("an empty ledger gives %d", len(got))
	}
	ship(t, l, "j", 0, 1, made(2), made(6), made(4), made(99))
	ship(t, l, "j", 1, 2, made(8))
	for n, want := range map[int][][16]byte{0: idsOf([]ledger.Decision{made(2), made(6), made(4), made(8)}), 3: idsOf([]ledger.Decision{made(6), made(4), made(8)}), 8: {made(8).ID}, 9: nil, 99: nil} {
		if got := from(n); !slices.Equal(got, want) {
			t.Errorf("from decision %d: %d ALLOWs, want %d", n, len(got), len(want))
		}
	}
	after, err := l.AllowedFrom(t.Context(), made(50).Time)
	ship(t, l, "j", 2, 3, made(60))
	if got := allowed(t, l, after, 10); err != nil || len(got) != 1 || got[0].ID != made(60).ID {
		t.Errorf("one that came later: %d, %v", len(got), err)
	}
	if _, err := l.AllowedFrom(t.Context(), time.Time{}); err != nil {
		t.Errorf("from the zero time: %v", err)
	}
}

func factsOfKinds(t *testing.T, l ledger.Ledger) {
	for i, kind := range []int32{3, 4, 3, 5, 4, 4, 3} {
		f := Fact(i, fmt.Sprint(i))
		f.Kind = kind
		appendAll(t, l, f)
	}
	for _, c := range []struct {
		kinds []int32
		after uint64
		limit int
		want  []uint64
	}{
		{[]int32{3}, 0, 10, []uint64{1, 3, 7}},
		{[]int32{4, 3, 4}, 0, 10, []uint64{1, 2, 3, 5, 6, 7}},
		{[]int32{3, 4}, 0, 2, []uint64{1, 2}},
		{[]int32{3, 4}, 2, 3, []uint64{3, 5, 6}},
		{[]int32{3, 5}, 3, 10, []uint64{4, 7}},
		{[]int32{6, -1}, 0, 10, nil},
		{[]int32{3}, 7, 10, nil},
		{[]int32{3}, 1 << 63, 10, nil},
	} {
		got, head, err := l.OfKinds(t.Context(), c.kinds, c.after, c.limit)
		if err != nil || head != 7 {
			t.Errorf("kinds %v: head %d, %v", c.kinds, head, err)
		}
		wantPositions(t, got, c.want...)
		for _, e := range got {
			if same, err := l.Entry(t.Context(), e.Position); err != nil || same.Hash != e.Hash || string(same.Payload) != string(e.Payload) {
				t.Errorf("position %d came as %+v, %v", e.Position, e, err)
			}
		}
	}
	_, _, err := l.OfKinds(t.Context(), nil, 0, 1)
	if !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("no kinds: %v", err)
	}
}
