// Package ledgertest is the contract of ledger.Ledger as tests: every implementation runs the same ones.
// It knows the interface only, and must not know an implementation.
package ledgertest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
)

// Contract runs the rules of ledger.Ledger. open gives an empty ledger of its own on every call, and closes it when
// the test ends. Each rule is a subtest.
func Contract(t *testing.T, open func(t *testing.T) ledger.Ledger) {
	rules := []struct {
		name string
		rule func(t *testing.T, l ledger.Ledger)
	}{
		{"positions", positionsAreConsecutive},
		{"round trip", everyFieldComesBack},
		{"all or none", allOrNone},
		{"neighbours", refusalSparesNeighbours},
		{"repeat", repeatGivesTheFirst},
		{"reuse", reuseIsRefused},
		{"repeat within a call", repeatWithinOneCall},
		{"many at once", manyFactsAtOnce},
		{"content", contentIsAKey},
		{"content at once", contentAtOnceIsOneFact},
		{"reference", referenceFindsOneFact},
		{"up to", readsStopAtUpTo},
		{"facts of many", factsOfMany},
		{"latest of kind", latestOfKind},
		{"sealed number", firstSealedNumberStays},
		{"input", badInputChangesNothing},
		{"buffers", buffersMayBeReused},
		{"tail", tailIsInOrder},
		{"tail is bounded", tailIsBounded},
		{"wait", waitEndsWhenTheHeadMoves},
		{"snapshot", snapshotsAreConsistent},
		{"T21 exactly once", exactlyOnce},
		{"decisions", decisionsComeBack},
		{"place", placeMovesWithDecisions},
		{"latest decisions", latestDecisionsAreNewestFirst},
		{"decisions by call", decisionsAreFoundByCall},
		{"decisions listed", decisionsAreListed},
		{"allows", allowsAreNumbered},
		{"allows under a race", racingAllowsAreSeenOnce},
		{"allowed from", allowedFromMissesNone},
		{"erase", erasureTakesNumberAndPayloads},
		{"erase again", erasureHappensOnce},
		{"erase refused", erasureIsAllOrNothing},
		{"erase under a race", erasureSeesEveryFact},
		{"dispose decisions", decisionsAreDisposedOf},
		{"dispose decisions kept", keptDecisionsStay},
		{"dispose facts", factsAreDisposedOf},
		{"dispose facts moved", disposalSeesEveryFact},
		{"dispose facts refused", disposalIsAllOrNothing},
		{"callees in order", calleesAreInOrder},
		{"of kinds", factsOfKinds},
		{"place under a race", racingShipmentsShipOnce},
		{"meta", metaIsSetOnce},
		{"verify", soundLedgerVerifies},
		{"context", endedContextIsReported},
		{"close", closedIsUnavailable},
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { r.rule(t, open(t)) })
	}
}

// Callee is a token for tests: different for different n, and never zero.
func Callee(n int) eligibility.CalleeToken {
	var c eligibility.CalleeToken
	copy(c[:], fmt.Sprintf("callee%010d", n))
	return c
}

// Fact is a fact for tests about Callee(n).
func Fact(n int, key string) ledger.Append {
	return ledger.Append{RequestKey: key, Callee: Callee(n), SealedNumber: fmt.Appendf(nil, "sealed %d", n), Kind: 7, Payload: []byte("payload of " + key)}
}

func appendAll(t *testing.T, l ledger.Ledger, facts ...ledger.Append) []ledger.Appended {
	t.Helper()
	got, err := l.Append(t.Context(), facts)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	if len(got) != len(facts) {
		t.Fatalf("Append of %d facts gave %d answers", len(facts), len(got))
	}
	return got
}

func facts(t *testing.T, l ledger.Ledger, callee eligibility.CalleeToken, upTo uint64) ledger.Snapshot {
	t.Helper()
	s, err := l.Facts(t.Context(), callee, upTo)
	if err != nil {
		t.Fatalf("Facts: %v", err)
	}
	return s
}

func wantHead(t *testing.T, l ledger.Ledger, want uint64) {
	t.Helper()
	if got, err := l.Head(t.Context()); err != nil || got != want {
		t.Fatalf("head is %d (%v), want %d", got, err, want)
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: got error %v, want %v", what, got, want)
	}
}

// wantFactError wants the refusal of the fact at index, for the reason want.
func wantFactError(t *testing.T, err error, index int, want error) {
	t.Helper()
	wantError(t, "Append", err, want)
	var f *ledger.FactError
	if !errors.As(err, &f) || f.Index != index {
		t.Fatalf("error %q does not name fact %d", err, index)
	}
}

func wantPositions(t *testing.T, entries []ledger.Entry, want ...uint64) {
	t.Helper()
	var got []uint64
	for _, e := range entries {
		got = append(got, e.Position)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("positions %v, want %v", got, want)
	}
}

func positionsAreConsecutive(t *testing.T, l ledger.Ledger) {
	wantHead(t, l, 0)
	next := uint64(1)
	for i := range 5 {
		batch := make([]ledger.Append, i+1)
		for j := range batch {
			batch[j] = Fact(j, fmt.Sprintf("%d-%d", i, j))
		}
		for j, a := range appendAll(t, l, batch...) {
			if a.Position != next || a.Repeated {
				t.Fatalf("fact %d of call %d: %+v, want new at position %d", j, i, a, next)
			}
			next++
		}
		wantHead(t, l, next-1)
	}
	if got, err := l.Append(t.Context(), nil); err != nil || len(got) != 0 {
		t.Fatalf("appending nothing: %v, %v", got, err)
	}
	wantHead(t, l, next-1)
}

func everyFieldComesBack(t *testing.T, l ledger.Ledger) {
	before := time.Now()
	in := []ledger.Append{
		{RequestKey: "all", Callee: Callee(1), SealedNumber: []byte{0, 1, 255}, Kind: -2147483648, Reference: "ré ref", Payload: []byte{0, 1, 2, 255}},
		{RequestKey: "catalogue", Kind: 2147483647},
		{RequestKey: strings.Repeat("k", ledger.MaxKey), Callee: Callee(2), Payload: bytes.Repeat([]byte{7}, ledger.MaxPayload)},
	}
	placed := appendAll(t, l, in...)
	for i, want := range in {
		e, err := l.Entry(t.Context(), placed[i].Position)
		if err != nil {
			t.Fatal(err)
		}
		if e.RequestKey != want.RequestKey || e.Callee != want.Callee || e.Kind != want.Kind || e.Reference != want.Reference ||
			!bytes.Equal(e.Payload, want.Payload) || e.Position != placed[i].Position || e.Hash == [32]byte{} || e.Erased {
			t.Errorf("fact %d came back as %+v", i, e)
		}
		if !e.RecordTime.Equal(placed[i].RecordTime) || e.RecordTime.Before(before.Add(-time.Minute)) || e.RecordTime.After(time.Now().Add(time.Minute)) {
			t.Errorf("fact %d has record time %v, was answered %v", i, e.RecordTime, placed[i].RecordTime)
		}
	}
	_, err := l.Entry(t.Context(), 4)
	wantError(t, "Entry beyond the head", err, ledger.ErrNotFound)
	_, err = l.Entry(t.Context(), 0)
	wantError(t, "Entry 0", err, ledger.ErrNotFound)
}

func allOrNone(t *testing.T, l ledger.Ledger) {
	appendAll(t, l, Fact(1, "old"))
	other := Fact(2, "old")
	for _, at := range []int{0, 1, 2} {
		batch := []ledger.Append{Fact(3, "a"), Fact(3, "b")}
		batch = append(batch[:at], append([]ledger.Append{other}, batch[at:]...)...)
		_, err := l.Append(t.Context(), batch)
		wantFactError(t, err, at, ledger.ErrRequestReused)
		wantHead(t, l, 1)
		wantPositions(t, facts(t, l, Callee(3), 0).Entries)
		_, err = l.SealedNumber(t.Context(), Callee(3))
		wantError(t, "sealed number of a refused call", err, ledger.ErrNotFound)
	}
	if got := appendAll(t, l, Fact(3, "a")); got[0].Position != 2 || got[0].Repeated {
		t.Fatalf("after refusals: %+v, want new at position 2", got[0])
	}
}

func repeatGivesTheFirst(t *testing.T, l ledger.Ledger) {
	first := appendAll(t, l, Fact(1, "a"), Fact(2, "b"))
	again := appendAll(t, l, Fact(2, "b"), Fact(3, "new"), Fact(1, "a"))
	if again[0].Position != 2 || again[1].Position != 3 || again[2].Position != 1 {
		t.Fatalf("positions %+v, want 2, 3, 1", again)
	}
	if !again[0].Repeated || again[1].Repeated || !again[2].Repeated {
		t.Fatalf("repeats %+v, want the first and the last", again)
	}
	if !again[0].RecordTime.Equal(first[1].RecordTime) {
		t.Fatalf("the repeat has record time %v, the first had %v", again[0].RecordTime, first[1].RecordTime)
	}
	wantHead(t, l, 3)
	withReference := Fact(1, "a")
	withReference.Reference = "another receipt"
	if got := appendAll(t, l, withReference); got[0].Position != 1 || !got[0].Repeated {
		t.Fatalf("repeat with another reference: %+v", got[0])
	}
	_, err := l.ByReference(t.Context(), "another receipt")
	wantError(t, "the repeat's reference", err, ledger.ErrNotFound)
	soundLedgerVerifies(t, l)
}

// reuseIsRefused takes every way in which the content can differ, and content permuted between two keys.
func reuseIsRefused(t *testing.T, l ledger.Ledger) {
	a, b := Fact(1, "a"), Fact(2, "b")
	appendAll(t, l, a, b)
	callee, kind, payload, empty := a, a, a, a
	callee.Callee = Callee(3)
	kind.Kind++
	payload.Payload = []byte("other")
	empty.Payload = nil
	a.RequestKey, b.RequestKey = "b", "a"
	for _, f := range []ledger.Append{callee, kind, payload, empty, a, b} {
		_, err := l.Append(t.Context(), []ledger.Append{f})
		wantFactError(t, err, 0, ledger.ErrRequestReused)
	}
	wantHead(t, l, 2)
	wantPositions(t, facts(t, l, Callee(1), 0).Entries, 1)
	wantPositions(t, facts(t, l, Callee(2), 0).Entries, 2)
}

func repeatWithinOneCall(t *testing.T, l ledger.Ledger) {
	got := appendAll(t, l, Fact(1, "a"), Fact(1, "b"), Fact(1, "a"))
	if got[0].Position != 1 || got[1].Position != 2 || got[2].Position != 1 || !got[2].Repeated {
		t.Fatalf("got %+v", got)
	}
	other := Fact(1, "c")
	other.Payload = nil
	_, err := l.Append(t.Context(), []ledger.Append{Fact(1, "c"), other})
	wantFactError(t, err, 1, ledger.ErrRequestReused)
	wantHead(t, l, 2)
}

// manyFactsAtOnce is more than any single statement takes, with a repeat of all of them and of all but one.
func manyFactsAtOnce(t *testing.T, l ledger.Ledger) {
	const n = 333
	batch := make([]ledger.Append, n)
	for i := range batch {
		batch[i] = Fact(i/3, fmt.Sprint("k", i))
	}
	appendAll(t, l, batch...)
	for i, a := range appendAll(t, l, batch...) {
		if a.Position != uint64(i+1) || !a.Repeated {
			t.Fatalf("repeat of fact %d: %+v", i, a)
		}
	}
	batch[n/2].RequestKey = "new"
	if got := appendAll(t, l, batch...)[n/2]; got.Position != n+1 || got.Repeated {
		t.Fatalf("the one new fact: %+v", got)
	}
	wantPositions(t, facts(t, l, Callee(2), 0).Entries, 7, 8, 9)
	for _, c := range []int{0, n/3 - 1} {
		number, err := l.SealedNumber(t.Context(), Callee(c))
		if err != nil || string(number) != fmt.Sprint("sealed ", c) {
			t.Fatalf("sealed number of callee %d: %q, %v", c, number, err)
		}
	}
	soundLedgerVerifies(t, l)
}

func referenceFindsOneFact(t *testing.T, l ledger.Ledger) {
	a, b, c := Fact(1, "a"), Fact(2, "b"), Fact(3, "c")
	a.Reference, b.Reference, c.Reference = "receipt 1", "receipt 2", "receipt 1"
	appendAll(t, l, a, b, Fact(4, "no reference"), Fact(5, "none either"))
	e, err := l.ByReference(t.Context(), "receipt 2")
	if err != nil || e.Position != 2 || e.Reference != "receipt 2" {
		t.Fatalf("by reference: %+v, %v", e, err)
	}
	_, err = l.ByReference(t.Context(), "receipt 3")
	wantError(t, "unknown reference", err, ledger.ErrNotFound)
	_, err = l.Append(t.Context(), []ledger.Append{Fact(6, "d"), c})
	wantFactError(t, err, 1, ledger.ErrReferenceTaken)
	wantHead(t, l, 4)
}

func readsStopAtUpTo(t *testing.T, l ledger.Ledger) {
	appendAll(t, l, Fact(1, "a"), Fact(2, "b"), Fact(1, "c"), ledger.Append{RequestKey: "x"}, Fact(1, "d"))
	for upTo, want := range map[uint64][]uint64{0: {1, 3, 5}, 1: {1}, 2: {1}, 3: {1, 3}, 5: {1, 3, 5}, 1 << 63: {1, 3, 5}} {
		s := facts(t, l, Callee(1), upTo)
		wantPositions(t, s.Entries, want...)
		if s.Head != 5 {
			t.Fatalf("snapshot up to %d has head %d, want 5", upTo, s.Head)
		}
	}
	wantPositions(t, facts(t, l, Callee(9), 0).Entries)
	wantPositions(t, facts(t, l, eligibility.CalleeToken{}, 0).Entries, 4)
}

func latestOfKind(t *testing.T, l ledger.Ledger) {
	for i, kind := range []int32{3, 4, 3, 4, 5} {
		appendAll(t, l, ledger.Append{RequestKey: fmt.Sprint(i), Kind: kind})
	}
	for _, c := range []struct {
		kind       int32
		upTo, want uint64
	}{{3, 0, 3}, {3, 2, 1}, {4, 1, 0}, {4, 3, 2}, {5, 0, 5}, {5, 4, 0}, {6, 0, 0}} {
		e, found, err := l.LatestOfKind(t.Context(), c.kind, c.upTo)
		if err != nil || found != (c.want > 0) || e.Position != c.want {
			t.Errorf("latest of kind %d up to %d: %d, %v, %v; want %d", c.kind, c.upTo, e.Position, found, err, c.want)
		}
	}
}

func firstSealedNumberStays(t *testing.T, l ledger.Ledger) {
	_, err := l.SealedNumber(t.Context(), Callee(1))
	wantError(t, "unknown callee", err, ledger.ErrNotFound)
	tokenOnly := Fact(1, "a")
	tokenOnly.SealedNumber = nil
	appendAll(t, l, tokenOnly)
	_, err = l.SealedNumber(t.Context(), Callee(1))
	wantError(t, "callee known by token only", err, ledger.ErrNotFound)
	appendAll(t, l, Fact(1, "b"))
	later := Fact(1, "c")
	later.SealedNumber = []byte("sealed again")
	appendAll(t, l, later)
	if got, err := l.SealedNumber(t.Context(), Callee(1)); err != nil || string(got) != "sealed 1" {
		t.Fatalf("sealed number %q, %v", got, err)
	}
}
