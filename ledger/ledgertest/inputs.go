package ledgertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
)

func badInputChangesNothing(t *testing.T, l ledger.Ledger) {
	long := strings.Repeat("x", ledger.MaxKey+1)
	for field, spoil := range map[string]func(*ledger.Append){
		"request key is empty":   func(f *ledger.Append) { f.RequestKey, f.Callee, f.SealedNumber = "", eligibility.CalleeToken{}, nil },
		"request key has 257":    func(f *ledger.Append) { f.RequestKey = long },
		"request key is not":     func(f *ledger.Append) { f.RequestKey = "a\x00b" },
		"reference has 257":      func(f *ledger.Append) { f.Reference = long },
		"reference is not":       func(f *ledger.Append) { f.Reference = "\xff" },
		"payload has":            func(f *ledger.Append) { f.Payload = make([]byte, ledger.MaxPayload+1) },
		"sealed number has":      func(f *ledger.Append) { f.SealedNumber = make([]byte, ledger.MaxSealed+1) },
		"sealed number given wi": func(f *ledger.Append) { f.Callee = eligibility.CalleeToken{} },
	} {
		bad := Fact(1, "bad")
		spoil(&bad)
		_, err := l.Append(t.Context(), []ledger.Append{Fact(1, "good"), bad})
		wantFactError(t, err, 1, ledger.ErrInvalid)
		if !strings.Contains(err.Error(), field) {
			t.Errorf("error %q does not say %q", err, field)
		}
	}
	_, err := l.Append(t.Context(), make([]ledger.Append, ledger.MaxFacts+1))
	wantError(t, "too many facts", err, ledger.ErrInvalid)
	wantHead(t, l, 0)
	badReads(t, l)
}

func badReads(t *testing.T, l ledger.Ledger) {
	ctx := t.Context()
	for _, limit := range []int{-1, 0, ledger.MaxTail + 1} {
		_, err := l.Tail(ctx, 0, limit)
		wantError(t, "limit of Tail", err, ledger.ErrInvalid)
	}
	_, err := l.ByReference(ctx, "")
	wantError(t, "empty reference", err, ledger.ErrInvalid)
	for _, limit := range []int{0, ledger.MaxTail + 1} {
		_, err := l.DecisionsByCall(ctx, "c", limit)
		wantError(t, "limit of DecisionsByCall", err, ledger.ErrInvalid)
		_, err = l.ListDecisions(ctx, ledger.DecisionFilter{}, limit)
		wantError(t, "limit of ListDecisions", err, ledger.ErrInvalid)
		_, err = l.AllowedAfter(ctx, 0, limit)
		wantError(t, "limit of AllowedAfter", err, ledger.ErrInvalid)
		_, _, err = l.OfKinds(ctx, []int32{1}, 0, limit)
		wantError(t, "limit of OfKinds", err, ledger.ErrInvalid)
	}
	_, err = l.DecisionsByCall(ctx, "", 1)
	wantError(t, "empty call id", err, ledger.ErrInvalid)
	_, err = l.ListDecisions(ctx, ledger.DecisionFilter{Campaign: "\xff"}, 1)
	wantError(t, "campaign of a filter", err, ledger.ErrInvalid)
	for _, kinds := range [][]int32{nil, make([]int32, ledger.MaxKinds+1)} {
		_, _, err := l.OfKinds(ctx, kinds, 0, 1)
		wantError(t, "kinds", err, ledger.ErrInvalid)
	}
	_, err = l.Meta(ctx, "")
	wantError(t, "empty metadata key", err, ledger.ErrInvalid)
	_, err = l.SetMeta(ctx, "k", make([]byte, ledger.MaxPayload+1))
	wantError(t, "long metadata value", err, ledger.ErrInvalid)
	_, err = l.Place(ctx, "")
	wantError(t, "empty source", err, ledger.ErrInvalid)
	now := ledger.Decision{Time: time.Now()}
	wantError(t, "through before from", l.ShipDecisions(ctx, "j", 2, 1, nil), ledger.ErrInvalid)
	wantError(t, "through beyond", l.ShipDecisions(ctx, "j", 0, 1<<63, nil), ledger.ErrInvalid)
	wantError(t, "zero time", l.ShipDecisions(ctx, "j", 0, 1, []ledger.Decision{now, {}}), ledger.ErrInvalid)
	now.CallID = strings.Repeat("c", ledger.MaxCallID+1)
	wantError(t, "call id", l.ShipDecisions(ctx, "j", 0, 1, []ledger.Decision{now}), ledger.ErrInvalid)
	now.CallID = ""
	now.Campaign = "a\x00"
	wantError(t, "campaign", l.ShipDecisions(ctx, "j", 0, 1, []ledger.Decision{now}), ledger.ErrInvalid)
	if place, err := l.Place(ctx, "j"); err != nil || place != 0 {
		t.Fatalf("place after refused shipments: %d, %v", place, err)
	}
}

// buffersMayBeReused hands over buffers that the caller overwrites at once.
func buffersMayBeReused(t *testing.T, l ledger.Ledger) {
	buffer := []byte("the original payload")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = l.Append(ctx, []ledger.Append{{RequestKey: "k", Callee: Callee(1), SealedNumber: buffer, Payload: buffer}})
		clear(buffer)
	}()
	cancel()
	<-done
	appendAll(t, l, Fact(2, "after"))
	soundLedgerVerifies(t, l)
	for _, e := range facts(t, l, Callee(1), 0).Entries {
		if string(e.Payload) != "the original payload" {
			t.Fatalf("the payload became %q", e.Payload)
		}
	}
}

func endedContextIsReported(t *testing.T, l ledger.Ledger) {
	appendAll(t, l, Fact(1, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, call := range calls(l) {
		wantError(t, what, call(ctx), context.Canceled)
	}
	wantHead(t, l, 1)
}

func closedIsUnavailable(t *testing.T, l ledger.Ledger) {
	appendAll(t, l, Fact(1, "a"))
	waiting := make(chan error, 1)
	go func() { waiting <- l.Wait(context.Background(), 1) }()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	wantError(t, "Wait across Close", <-waiting, ledger.ErrUnavailable)
	for what, call := range calls(l) {
		wantError(t, what, call(t.Context()), ledger.ErrUnavailable)
	}
}

// calls is every method that takes a context, with arguments that would succeed.
func calls(l ledger.Ledger) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Append": func(ctx context.Context) error {
			_, err := l.Append(ctx, []ledger.Append{Fact(1, "never")})
			return err
		},
		"Erase": func(ctx context.Context) error {
			_, err := l.Erase(ctx, erasure(1, "never", 1, 7))
			return err
		},
		"Facts":        func(ctx context.Context) error { _, err := l.Facts(ctx, Callee(1), 0); return err },
		"LatestOfKind": func(ctx context.Context) error { _, _, err := l.LatestOfKind(ctx, 7, 0); return err },
		"Entry":        func(ctx context.Context) error { _, err := l.Entry(ctx, 1); return err },
		"ByReference":  func(ctx context.Context) error { _, err := l.ByReference(ctx, "r"); return err },
		"Tail":         func(ctx context.Context) error { _, err := l.Tail(ctx, 0, 1); return err },
		"Tail at end":  func(ctx context.Context) error { _, err := l.Tail(ctx, 9, 1); return err },
		"Wait":         func(ctx context.Context) error { return l.Wait(ctx, 0) },
		"Head":         func(ctx context.Context) error { _, err := l.Head(ctx); return err },
		"SealedNumber": func(ctx context.Context) error { _, err := l.SealedNumber(ctx, Callee(1)); return err },
		"Place":        func(ctx context.Context) error { _, err := l.Place(ctx, "j"); return err },
		"Ship":         func(ctx context.Context) error { return l.ShipDecisions(ctx, "j", 0, 1, nil) },
		"Decision":     func(ctx context.Context) error { _, err := l.Decision(ctx, [16]byte{1}); return err },
		"ByCall":       func(ctx context.Context) error { _, err := l.DecisionsByCall(ctx, "c", 1); return err },
		"List": func(ctx context.Context) error {
			_, err := l.ListDecisions(ctx, ledger.DecisionFilter{}, 1)
			return err
		},
		"AllowedAfter": func(ctx context.Context) error { _, err := l.AllowedAfter(ctx, 0, 1); return err },
		"AllowedFrom":  func(ctx context.Context) error { _, err := l.AllowedFrom(ctx, time.Now()); return err },
		"OfKinds":      func(ctx context.Context) error { _, _, err := l.OfKinds(ctx, []int32{7}, 0, 1); return err },
		"DeploymentID": func(ctx context.Context) error { _, err := l.DeploymentID(ctx); return err },
		"Meta":         func(ctx context.Context) error { _, err := l.Meta(ctx, "k"); return err },
		"SetMeta":      func(ctx context.Context) error { _, err := l.SetMeta(ctx, "k", nil); return err },
		"Verify":       func(ctx context.Context) error { _, err := l.Verify(ctx); return err },
	}
}
