package ledgertest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
)

// decidedAt is a decision of an instant, with an id that begins with it.
func decidedAt(n int, at time.Time, verdict eligibility.Verdict) ledger.Decision {
	d := ledger.Decision{Time: at, Callee: Callee(n), Campaign: "autumn", Verdict: int32(verdict), Payload: fmt.Appendf(nil, "decision %d", n)}
	binary.BigEndian.PutUint64(d.ID[:], uint64(at.UnixMilli())<<16)
	binary.BigEndian.PutUint64(d.ID[8:], uint64(n))
	return d
}

var firstDay = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

// halfAYear ships a decision for each of 200 days from firstDay on, in turn ALLOW and DENY, and gives them.
func halfAYear(t *testing.T, l ledger.Ledger) (all []ledger.Decision) {
	t.Helper()
	for n := range 200 {
		verdict := eligibility.Allow
		if n%2 == 1 {
			verdict = eligibility.Deny
		}
		all = append(all, decidedAt(n, firstDay.AddDate(0, 0, n), verdict))
	}
	shipAll(t, l, "half a year", all)
	return all
}

func shipAll(t *testing.T, l ledger.Ledger, source string, all []ledger.Decision) {
	t.Helper()
	if err := l.ShipDecisions(t.Context(), source, 0, uint64(len(all)), all); err != nil {
		t.Fatal(err)
	}
}

// dispose goes through all decisions, seven at a time.
func dispose(t *testing.T, l ledger.Ledger, d ledger.DecisionDisposal) (sum ledger.DecisionsDisposed) {
	t.Helper()
	d.Limit = 7
	for {
		done, err := l.DisposeDecisions(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ to, from *ledger.DisposedCount }{{&sum.Allows, &done.Allows}, {&sum.Others, &done.Others}} {
			c.to.Looked, c.to.Gone, c.to.Kept = c.to.Looked+c.from.Looked, c.to.Gone+c.from.Gone, c.to.Kept+c.from.Kept
			if c.to.Oldest.IsZero() {
				c.to.Oldest = c.from.Oldest
			}
		}
		if done.Done {
			return sum
		}
		if done.Last == d.After {
			t.Fatalf("no step forward after %x", done.Last)
		}
		d.After = done.Last
	}
}

// wantLeft wants exactly the decisions for which stays says so.
func wantLeft(t *testing.T, l ledger.Ledger, all []ledger.Decision, stays func(n int) bool) {
	t.Helper()
	left, err := l.ListDecisions(t.Context(), ledger.DecisionFilter{}, len(all)+1)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for n := range all {
		if stays(n) {
			want++
			wantDecision(t, l, all[n])
		} else if _, err := l.Decision(t.Context(), all[n].ID); err == nil {
			t.Errorf("decision %d is still there", n)
		}
	}
	if len(left) != want {
		t.Errorf("%d decisions are left, want %d", len(left), want)
	}
}

// decisionsAreDisposedOf: each sort by its own age, whatever their months; a dry run counts the same and removes nothing; a
// second run finds nothing; the numbers of ALLOWs go on.
func decisionsAreDisposedOf(t *testing.T, l ledger.Ledger) {
	all := halfAYear(t, l)
	d := ledger.DecisionDisposal{Allows: firstDay.AddDate(0, 0, 60), Others: firstDay.AddDate(0, 0, 150), DryRun: true}
	counted := dispose(t, l, d)
	wantLeft(t, l, all, func(int) bool { return true })
	d.DryRun = false
	done := dispose(t, l, d)
	if counted != done || done.Allows.Gone != 30 || done.Others.Gone != 75 || done.Allows.Looked < 75 || !done.Allows.Oldest.Equal(all[60].Time) {
		t.Errorf("counted %+v\nremoved %+v", counted, done)
	}
	stays := func(n int) bool { return n%2 == 0 && n >= 60 || n%2 == 1 && n >= 150 }
	wantLeft(t, l, all, stays)
	if again := dispose(t, l, d); again.Allows.Gone+again.Others.Gone != 0 {
		t.Errorf("again: %+v", again)
	}
	from, err := l.AllowedFrom(t.Context(), all[100].Time)
	if err != nil || from != 50 {
		t.Errorf("AllowedFrom: %d, %v", from, err)
	}
	shipAll(t, l, "later", []ledger.Decision{decidedAt(300, firstDay.AddDate(0, 0, 300), eligibility.Allow)})
	numbered, err := l.AllowedAfter(t.Context(), 0, 1000)
	if err != nil || len(numbered) != 71 || numbered[0].Number != 31 || numbered[70].Number != 101 {
		t.Errorf("%d numbered ALLOWs, %v", len(numbered), err)
	}
	soundLedgerVerifies(t, l)
}

// keptDecisionsStay, however old, and whatever goes around them; whole months go where none of them is in it.
func keptDecisionsStay(t *testing.T, l ledger.Ledger) {
	all := halfAYear(t, l)
	kept := []int{0, 40, 41, 180}
	d := ledger.DecisionDisposal{Allows: firstDay.AddDate(0, 0, 150), Others: firstDay.AddDate(0, 0, 150)}
	for _, n := range kept {
		d.Keep = append(d.Keep, all[n].ID)
	}
	done := dispose(t, l, d)
	if done.Allows.Kept != 2 || done.Others.Kept != 1 || done.Allows.Gone+done.Others.Gone != 147 {
		t.Errorf("removed %+v", done)
	}
	wantLeft(t, l, all, func(n int) bool { return n >= 150 || slices.Contains(kept, n) })
	old := decidedAt(999, firstDay.AddDate(0, 0, 70), eligibility.Deny)
	shipAll(t, l, "from a node that was away", []ledger.Decision{old})
	wantDecision(t, l, old)
	if done := dispose(t, l, d); done.Others.Gone != 1 {
		t.Errorf("of a node that was away: %+v", done)
	}
	for what, d := range map[string]ledger.DecisionDisposal{"no limit": {}, "too many": {Limit: 1, Keep: make([][16]byte, 100_001)}} {
		_, err := l.DisposeDecisions(t.Context(), d)
		wantError(t, what, err, ledger.ErrInvalid)
	}
}

func disposal(n int, key string, through uint64, positions ...uint64) ledger.FactDisposal {
	return ledger.FactDisposal{
		Fact:      ledger.Append{RequestKey: key, Callee: Callee(n), Kind: 30, Payload: []byte("disposed")},
		Positions: positions, Through: through,
	}
}

func disposeFacts(t *testing.T, l ledger.Ledger, disposals ...ledger.FactDisposal) []ledger.FactsDisposed {
	t.Helper()
	done, err := l.DisposeFacts(t.Context(), disposals)
	if err != nil || len(done) != len(disposals) {
		t.Fatalf("DisposeFacts: %d answers, %v", len(done), err)
	}
	return done
}

// factsAreDisposedOf: the payloads named go, and no others; the number where it is said; the chain holds.
func factsAreDisposedOf(t *testing.T, l ledger.Ledger) {
	threeKinds(t, l)
	whole := disposal(2, "b", 6, 1, 4, 5, 6)
	whole.Number = true
	done := disposeFacts(t, l, disposal(1, "a", 3, 2), whole)
	if done[0].Moved || done[0].Position != 7 || done[1].Position != 8 || done[1].RecordTime.IsZero() {
		t.Errorf("disposals: %+v", done)
	}
	wantHead(t, l, 8)
	var gone []uint64
	for n := 1; n <= 2; n++ {
		for _, e := range facts(t, l, Callee(n), 0).Entries {
			if e.Erased {
				gone = append(gone, e.Position)
			}
		}
	}
	if !slices.Equal(gone, []uint64{2, 4, 5, 6}) { // 1 is another callee's
		t.Errorf("positions %v went", gone)
	}
	numbered, err := l.Numbered(t.Context(), []eligibility.CalleeToken{Callee(2), Callee(1), Callee(3), Callee(1)})
	if err != nil || len(numbered) != 1 || numbered[0] != Callee(1) {
		t.Errorf("numbers of %v, %v", numbered, err)
	}
	soundLedgerVerifies(t, l)
	if r, err := l.Verify(t.Context()); err != nil || r.Erased != 4 {
		t.Errorf("Verify: %+v, %v", r, err)
	}
	if again := disposeFacts(t, l, disposal(1, "c", 7, 2)); again[0].Position != 9 {
		t.Errorf("again: %+v", again)
	}
	appendAll(t, l, Fact(2, "anew"))
	soundLedgerVerifies(t, l)
}

// disposalSeesEveryFact: a callee about whom something was recorded meanwhile is left as it is, and its neighbours are not.
func disposalSeesEveryFact(t *testing.T, l ledger.Ledger) {
	threeKinds(t, l)
	late := disposal(1, "late", 2, 1)
	late.Number = true
	done := disposeFacts(t, l, late, disposal(2, "in time", 6, 4))
	if !done[0].Moved || done[1].Moved || done[1].Position != 7 {
		t.Errorf("disposals: %+v", done)
	}
	for _, e := range facts(t, l, Callee(1), 0).Entries {
		if e.Erased {
			t.Errorf("position %d went unseen", e.Position)
		}
	}
	if _, err := l.SealedNumber(t.Context(), Callee(1)); err != nil {
		t.Errorf("the number: %v", err)
	}
	var work sync.WaitGroup
	for n := range 4 {
		work.Go(func() { appendAll(t, l, Fact(1, fmt.Sprint("meanwhile ", n))) })
	}
	for i, moved := 0, true; moved; i++ {
		seen := facts(t, l, Callee(1), 0).Entries
		moved = disposeFacts(t, l, disposal(1, fmt.Sprint("try ", i), seen[len(seen)-1].Position, 1))[0].Moved
	}
	work.Wait()
	soundLedgerVerifies(t, l)
}

func disposalIsAllOrNothing(t *testing.T, l ledger.Ledger) {
	threeKinds(t, l)
	good, nobody, numbered, backwards, beyond := disposal(1, "a", 3, 1), disposal(1, "b", 3, 1), disposal(1, "b", 3, 1), disposal(1, "b", 3, 2, 1), disposal(1, "b", 3, 4)
	nobody.Fact.Callee, numbered.Fact.SealedNumber = eligibility.CalleeToken{}, []byte("sealed")
	for what, bad := range map[string]ledger.FactDisposal{"no callee": nobody, "a number": numbered, "backwards": backwards, "not seen": beyond, "no key": disposal(1, "", 3, 1)} {
		_, err := l.DisposeFacts(t.Context(), []ledger.FactDisposal{good, bad})
		wantError(t, what, err, ledger.ErrInvalid)
	}
	_, err := l.DisposeFacts(t.Context(), nil)
	wantError(t, "none", err, ledger.ErrInvalid)
	taken := disposal(2, "k0", 6, 4)
	_, err = l.DisposeFacts(t.Context(), []ledger.FactDisposal{good, taken})
	wantError(t, "a key that stands for something else", err, ledger.ErrRequestReused)
	wantHead(t, l, 6)
	for _, e := range facts(t, l, Callee(1), 0).Entries {
		if e.Erased {
			t.Errorf("position %d went", e.Position)
		}
	}
	appendAll(t, l, Fact(1, "goes on"))
	soundLedgerVerifies(t, l)
}

// calleesAreInOrder, each once, the catalogue not among them.
func calleesAreInOrder(t *testing.T, l ledger.Ledger) {
	for n := range 130 {
		appendAll(t, l, Fact((n*37)%100, fmt.Sprint("k", n)))
	}
	appendAll(t, l, ledger.Append{RequestKey: "catalogue", Kind: 100, Payload: []byte("c")})
	var all []eligibility.CalleeToken
	for after := (eligibility.CalleeToken{}); ; after = all[len(all)-1] {
		some, err := l.Callees(t.Context(), after, 9)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			break
		}
		all = append(all, some...)
	}
	for n := range all {
		if all[n] != Callee(n) {
			t.Fatalf("callee %d is %v", n, all[n])
		}
	}
	numbered, err := l.Numbered(t.Context(), all)
	if len(all) != 100 || err != nil || !slices.Equal(numbered, all) {
		t.Errorf("%d callees, %d numbered, %v", len(all), len(numbered), err)
	}
	_, err = l.Callees(t.Context(), Callee(1), 0)
	wantError(t, "no limit", err, ledger.ErrInvalid)
	_, err = l.Numbered(t.Context(), nil)
	wantError(t, "nobody", err, ledger.ErrInvalid)
}
