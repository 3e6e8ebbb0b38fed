package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belpoort/belpoort/ledger"
)

func decision(n int) ledger.Decision {
	d := ledger.Decision{Time: time.Unix(1_800_000_000, int64(n)).UTC(), Callee: Callee(n), Campaign: "autumn", Verdict: 1, Reason: -3, CallID: fmt.Sprint("call ", n/2), Payload: fmt.Appendf(nil, "decision %d", n)}
	copy(d.ID[:], fmt.Sprintf("decision%08d", n))
	return d
}

func decisions(from, through int) []ledger.Decision {
	var d []ledger.Decision
	for n := from; n < through; n++ {
		d = append(d, decision(n))
	}
	return d
}

func wantDecision(t *testing.T, l ledger.Ledger, want ledger.Decision) {
	t.Helper()
	got, err := l.Decision(t.Context(), want.ID)
	if err != nil {
		t.Fatalf("decision %s: %v", want.ID, err)
	}
	if got.ID != want.ID || !got.Time.Equal(want.Time) || got.Callee != want.Callee || got.Campaign != want.Campaign ||
		got.Verdict != want.Verdict || got.Reason != want.Reason || got.CallID != want.CallID || !bytes.Equal(got.Payload, want.Payload) {
		t.Fatalf("decision came back as %+v, want %+v", got, want)
	}
}

func decisionsComeBack(t *testing.T, l ledger.Ledger) {
	_, err := l.Decision(t.Context(), [16]byte{1})
	wantError(t, "unknown decision", err, ledger.ErrNotFound)
	bare := ledger.Decision{ID: [16]byte{255}, Time: time.Unix(0, 1)}
	shipped := append(decisions(0, 120), bare)
	if err := l.ShipDecisions(t.Context(), "journal", 0, 500, shipped); err != nil {
		t.Fatal(err)
	}
	for _, d := range shipped {
		wantDecision(t, l, d)
	}
}

func wantPlace(t *testing.T, l ledger.Ledger, source string, want uint64) {
	t.Helper()
	if got, err := l.Place(t.Context(), source); err != nil || got != want {
		t.Fatalf("place of %s is %d (%v), want %d", source, got, err, want)
	}
}

func placeMovesWithDecisions(t *testing.T, l ledger.Ledger) {
	ship := func(source string, from, through uint64, d []ledger.Decision) error {
		return l.ShipDecisions(t.Context(), source, from, through, d)
	}
	wantPlace(t, l, "a", 0)
	if err := ship("a", 0, 10, decisions(0, 3)); err != nil {
		t.Fatal(err)
	}
	wantPlace(t, l, "a", 10)
	wantPlace(t, l, "b", 0)
	for _, c := range []struct{ from, through uint64 }{{11, 12}, {5, 12}, {0, 11}} {
		wantError(t, fmt.Sprint(c), ship("a", c.from, c.through, decisions(90, 91)), ledger.ErrPlace)
	}
	for _, c := range []struct{ from, through uint64 }{{0, 10}, {3, 7}, {10, 10}} {
		if err := ship("a", c.from, c.through, decisions(90, 91)); err != nil {
			t.Fatalf("shipping %v again: %v", c, err)
		}
	}
	wantPlace(t, l, "a", 10)
	_, err := l.Decision(t.Context(), decision(90).ID)
	wantError(t, "decision of a shipment that did nothing", err, ledger.ErrNotFound)
	changed := decisions(2, 5)
	changed[0].Payload = []byte("changed")
	if err := ship("a", 10, 11, changed); err != nil {
		t.Fatalf("shipping a known decision with new ones: %v", err)
	}
	for n := range 5 {
		wantDecision(t, l, decision(n))
	}
	if err := ship("a", 11, 20, nil); err != nil {
		t.Fatalf("shipping no decisions: %v", err)
	}
	wantPlace(t, l, "a", 20)
}

// racingShipmentsShipOnce has several shippers send the same stretches: each place is passed once.
func racingShipmentsShipOnce(t *testing.T, l ledger.Ledger) {
	const stretches, shippers = 20, 4
	var work sync.WaitGroup
	var misplaced atomic.Int64
	for range shippers {
		work.Go(func() {
			for i := 0; i < stretches; {
				err := l.ShipDecisions(t.Context(), "j", uint64(i*10), uint64(i*10+10), decisions(i*10, i*10+10))
				switch {
				case err == nil:
					i++
				case errors.Is(err, ledger.ErrPlace):
					misplaced.Add(1)
					return
				default:
					t.Errorf("shipping: %v", err)
					return
				}
			}
		})
	}
	work.Wait()
	if misplaced.Load() > 0 {
		t.Errorf("%d shippers that went in order were told that they did not", misplaced.Load())
	}
	wantPlace(t, l, "j", stretches*10)
	for n := range stretches * 10 {
		wantDecision(t, l, decision(n))
	}
}

func metaIsSetOnce(t *testing.T, l ledger.Ledger) {
	id, err := l.DeploymentID(t.Context())
	if err != nil || id == [16]byte{} {
		t.Fatalf("deployment id %x, %v", id, err)
	}
	_, err = l.Meta(t.Context(), "key check")
	wantError(t, "unset key", err, ledger.ErrNotFound)
	var work sync.WaitGroup
	stands := make([]string, 8)
	for i := range stands {
		work.Go(func() {
			value, err := l.SetMeta(t.Context(), "key check", fmt.Append(nil, i))
			if err != nil {
				t.Errorf("setting: %v", err)
			}
			stands[i] = string(value)
		})
	}
	work.Wait()
	value, err := l.Meta(t.Context(), "key check")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range stands {
		if s != string(value) {
			t.Errorf("setter %d was told %q, the value is %q", i, s, value)
		}
	}
	if again, err := l.DeploymentID(t.Context()); err != nil || again != id {
		t.Fatalf("deployment id changed from %x to %x (%v)", id, again, err)
	}
}

// soundLedgerVerifies wants a sound report on whatever the ledger holds.
func soundLedgerVerifies(t *testing.T, l ledger.Ledger) {
	t.Helper()
	head, err := l.Head(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	report, err := l.Verify(t.Context())
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if !report.OK() || report.Wrong != 0 || report.Head != head || report.Sound != head {
		t.Fatalf("at head %d Verify reports %+v", head, report)
	}
	if head == 0 {
		return
	}
	last, err := l.Entry(t.Context(), head)
	if err != nil || last.Hash != report.Hash {
		t.Fatalf("the last fact has hash %x (%v), Verify says %x", last.Hash, err, report.Hash)
	}
}

// latestDecisionsAreNewestFirst: of one callee, by time whatever the order of shipping, no more than asked for.
func latestDecisionsAreNewestFirst(t *testing.T, l ledger.Ledger) {
	at := time.Unix(1_800_000_000, 0).UTC()
	var d []ledger.Decision
	for i, minutes := range []int{5, 1, 9, 1, 7} {
		d = append(d, ledger.Decision{ID: [16]byte{byte(i + 1)}, Time: at.Add(time.Duration(minutes) * time.Minute), Callee: Callee(1), Payload: []byte{byte(i)}})
	}
	d = append(d, ledger.Decision{ID: [16]byte{99}, Time: at, Callee: Callee(2), Payload: []byte("other")})
	if err := l.ShipDecisions(t.Context(), "journal", 0, 6, d); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int][]byte{1: {3}, 3: {3, 5, 1}, 100: {3, 5, 1, 4, 2}} {
		got, err := l.LatestDecisions(t.Context(), Callee(1), limit)
		if err != nil || len(got) != len(want) {
			t.Fatalf("limit %d: %d decisions, %v", limit, len(got), err)
		}
		for i := range got {
			if got[i].ID[0] != want[i] || got[i].Callee != Callee(1) || len(got[i].Payload) != 1 {
				t.Errorf("limit %d: decision %d is %d, want %d", limit, i, got[i].ID[0], want[i])
			}
		}
	}
	for _, limit := range []int{0, -1, ledger.MaxTail + 1} {
		_, err := l.LatestDecisions(t.Context(), Callee(1), limit)
		wantError(t, "limit", err, ledger.ErrInvalid)
	}
	if got, err := l.LatestDecisions(t.Context(), Callee(3), 1); err != nil || len(got) != 0 {
		t.Errorf("of nobody: %v, %v", got, err)
	}
}
