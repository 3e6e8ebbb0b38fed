package ledgertest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/belpoort/belpoort/ledger"
)

// plain is a fact without a request key.
func plain(n int, payload string) ledger.Append {
	f := Fact(n, "")
	f.Payload = []byte(payload)
	return f
}

// contentIsAKey: a fact without a request key is known by callee, kind and payload, also when it was erased since.
func contentIsAKey(t *testing.T, l ledger.Ledger) {
	first := appendAll(t, l, plain(1, "a"), plain(1, "b"), plain(2, "a"), plain(1, "a"))
	if first[3].Position != 1 || !first[3].Repeated || first[1].Position != 2 || first[2].Position != 3 {
		t.Fatalf("within one call: %+v", first)
	}
	other := plain(1, "a")
	other.Kind++
	keyed := plain(1, "a")
	keyed.RequestKey = "a key"
	again := appendAll(t, l, plain(2, "a"), other, keyed, plain(1, "b"), other)
	if again[0].Position != 3 || again[1].Position != 4 || again[2].Position != 5 || again[3].Position != 2 || again[4].Position != 4 {
		t.Fatalf("positions %+v", again)
	}
	if !again[0].Repeated || again[1].Repeated || again[2].Repeated || !again[3].Repeated || !again[4].Repeated {
		t.Fatalf("repeats %+v", again)
	}
	if !again[0].RecordTime.Equal(first[2].RecordTime) {
		t.Fatalf("the repeat has record time %v, the first had %v", again[0].RecordTime, first[2].RecordTime)
	}
	erase(t, l, ledger.Erasure{Fact: ledger.Append{RequestKey: "gone", Callee: Callee(1), Kind: 99}, Kinds: []int32{7}, Through: 5})
	if got := appendAll(t, l, plain(1, "a"), plain(1, "c")); got[0].Position != 1 || !got[0].Repeated || got[1].Position != 7 {
		t.Fatalf("after an erasure: %+v", got)
	}
	if r := mustVerify(t, l); !r.OK() || r.Sound != 7 || r.Erased != 3 {
		t.Fatalf("Verify: %+v", r)
	}
}

// contentAtOnceIsOneFact sends the same facts without keys from many sides, in bulk and one by one.
func contentAtOnceIsOneFact(t *testing.T, l ledger.Ledger) {
	const facts = 300
	var work sync.WaitGroup
	var mu sync.Mutex
	at := map[int]uint64{}
	send := func(which ...int) {
		var call []ledger.Append
		for _, n := range which {
			call = append(call, plain(n, fmt.Sprint("payload ", n)))
		}
		answers, err := l.Append(t.Context(), call)
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for i, n := range which {
			if at[n] == 0 {
				at[n] = answers[i].Position
			}
			if at[n] != answers[i].Position {
				t.Errorf("fact %d: positions %d and %d", n, at[n], answers[i].Position)
			}
		}
	}
	for from := range 8 {
		work.Go(func() {
			for n := from; n < facts; n += 16 {
				send(n)
			}
		})
		work.Go(func() {
			var all []int
			for n := range facts {
				all = append(all, (n+from*37)%facts)
			}
			send(all...)
		})
	}
	work.Wait()
	wantHead(t, l, facts)
	soundLedgerVerifies(t, l)
}

func mustVerify(t *testing.T, l ledger.Ledger) ledger.VerifyReport {
	t.Helper()
	r, err := l.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
