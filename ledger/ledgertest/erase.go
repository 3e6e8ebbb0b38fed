package ledgertest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/belpoort/belpoort/ledger"
)

func erasure(n int, key string, through uint64, kinds ...int32) ledger.Erasure {
	return ledger.Erasure{
		Fact:  ledger.Append{RequestKey: key, Callee: Callee(n), Kind: 99, Payload: []byte("erased")},
		Kinds: kinds, Through: through,
	}
}

func erase(t *testing.T, l ledger.Ledger, e ledger.Erasure) ledger.Appended {
	t.Helper()
	done, err := l.Erase(t.Context(), e)
	if err != nil {
		t.Fatalf("Erase: %v", err)
	}
	return done
}

// threeKinds records facts of kinds 7, 8 and 9 about callees 1 and 2, positions 1 to 6.
func threeKinds(t *testing.T, l ledger.Ledger) {
	t.Helper()
	for i := range 6 {
		f := Fact(1+i/3, fmt.Sprint("k", i))
		f.Kind = int32(7 + i%3)
		f.Reference = fmt.Sprint("r", i)
		appendAll(t, l, f)
	}
}

func erasureTakesNumberAndPayloads(t *testing.T, l ledger.Ledger) {
	threeKinds(t, l)
	before := facts(t, l, Callee(1), 0).Entries
	if done := erase(t, l, erasure(1, "e", 3, 7, 9)); done.Position != 7 || done.Repeated || done.RecordTime.IsZero() {
		t.Fatalf("the erasure is %+v", done)
	}
	wantHead(t, l, 7)
	_, err := l.SealedNumber(t.Context(), Callee(1))
	wantError(t, "the number", err, ledger.ErrNotFound)
	after := facts(t, l, Callee(1), 0).Entries
	wantPositions(t, after, 1, 2, 3, 7)
	for i, e := range after[:3] {
		gone := i != 1
		if e.Erased != gone || (e.Payload == nil) != gone || e.Hash != before[i].Hash || e.Reference != before[i].Reference {
			t.Errorf("position %d after the erasure: %+v", e.Position, e)
		}
	}
	if e := after[3]; e.Erased || string(e.Payload) != "erased" || e.Kind != 99 {
		t.Errorf("the erasure's fact: %+v", e)
	}
	for _, e := range facts(t, l, Callee(2), 0).Entries {
		if e.Erased {
			t.Errorf("position %d of another callee was erased", e.Position)
		}
	}
	if number, err := l.SealedNumber(t.Context(), Callee(2)); err != nil || string(number) != "sealed 2" {
		t.Errorf("another callee's number: %q, %v", number, err)
	}
	soundLedgerVerifies(t, l)
	if r, err := l.Verify(t.Context()); err != nil || r.Erased != 2 {
		t.Errorf("Verify: %+v, %v", r, err)
	}
	if again := appendAll(t, l, Fact(1, "k0")); again[0].Position != 1 || !again[0].Repeated {
		t.Errorf("an erased fact that is sent again: %+v", again[0])
	}
	appendAll(t, l, Fact(1, "anew"))
	if number, err := l.SealedNumber(t.Context(), Callee(1)); err != nil || string(number) != "sealed 1" {
		t.Errorf("the number after a new fact: %q, %v", number, err)
	}
}

func erasureHappensOnce(t *testing.T, l ledger.Ledger) {
	threeKinds(t, l)
	first := erase(t, l, erasure(1, "e", 3, 7, 8, 9))
	appendAll(t, l, Fact(1, "later"))
	again := erase(t, l, erasure(1, "e", 3, 7, 8, 9))
	if !again.Repeated || again.Position != first.Position || !again.RecordTime.Equal(first.RecordTime) {
		t.Errorf("again: %+v, first %+v", again, first)
	}
	if e, err := l.Entry(t.Context(), 8); err != nil || e.Erased {
		t.Errorf("the repeat erased a later fact: %+v, %v", e, err)
	}
	other := erasure(1, "e", 8, 7)
	other.Fact.Payload = []byte("other")
	_, err := l.Erase(t.Context(), other)
	wantError(t, "the key with other content", err, ledger.ErrRequestReused)
	if done := erase(t, l, erasure(3, "nothing held", 0, 7)); done.Position != 9 {
		t.Errorf("a callee of whom nothing is held: %+v", done)
	}
	soundLedgerVerifies(t, l)
}

func erasureIsAllOrNothing(t *testing.T, l ledger.Ledger) {
	threeKinds(t, l)
	for what, e := range map[string]ledger.Erasure{
		"too little seen": erasure(1, "e", 2, 7), "too much seen": erasure(1, "e", 4, 7), "nothing seen": erasure(1, "e", 0, 7),
	} {
		_, err := l.Erase(t.Context(), e)
		wantError(t, what, err, ledger.ErrMoved)
	}
	taken := erasure(1, "e", 3, 7)
	taken.Fact.Reference = "r5"
	_, err := l.Erase(t.Context(), taken)
	wantError(t, "a taken reference", err, ledger.ErrReferenceTaken)
	nobody, numbered, none := erasure(1, "e", 3, 7), erasure(1, "e", 3, 7), erasure(1, "e", 3)
	nobody.Fact.Callee, numbered.Fact.SealedNumber = [16]byte{}, []byte("sealed")
	for what, e := range map[string]ledger.Erasure{"no callee": nobody, "a number": numbered, "no kinds": none, "no key": erasure(1, "", 3, 7)} {
		_, err := l.Erase(t.Context(), e)
		wantError(t, what, err, ledger.ErrInvalid)
	}
	wantHead(t, l, 6)
	for _, e := range facts(t, l, Callee(1), 0).Entries {
		if e.Erased {
			t.Errorf("position %d was erased", e.Position)
		}
	}
	if _, err := l.SealedNumber(t.Context(), Callee(1)); err != nil {
		t.Errorf("the number: %v", err)
	}
	appendAll(t, l, Fact(1, "goes on"))
	soundLedgerVerifies(t, l)
}

// erasureSeesEveryFact: no fact comes between what the erasure knows and what it does.
func erasureSeesEveryFact(t *testing.T, l ledger.Ledger) {
	appendAll(t, l, Fact(1, "first"))
	var work sync.WaitGroup
	work.Go(func() {
		for i := range 40 {
			appendAll(t, l, Fact(1, fmt.Sprint("more ", i)))
		}
	})
	for tries := 0; ; tries++ {
		seen := facts(t, l, Callee(1), 0).Entries
		through := seen[len(seen)-1].Position
		done, err := l.Erase(t.Context(), erasure(1, "e", through, 7))
		if errors.Is(err, ledger.ErrMoved) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		work.Wait()
		for _, e := range facts(t, l, Callee(1), 0).Entries {
			if want := e.Position <= through; e.Kind == 7 && e.Erased != want || e.Position > through && e.Position < done.Position {
				t.Errorf("after %d tries: position %d is erased: %v; known through %d, erased at %d", tries, e.Position, e.Erased, through, done.Position)
			}
		}
		break
	}
	soundLedgerVerifies(t, l)
}
