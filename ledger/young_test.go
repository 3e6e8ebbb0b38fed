package ledger_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
)

// indexWorld is a ledger with few facts in a generation, and what must be found in it.
type indexWorld struct {
	*testing.T
	chance  *rand.Rand
	dir     string
	l       *ledger.SQLite
	next    int
	facts   map[eligibility.CalleeToken][]uint64
	numbers map[eligibility.CalleeToken]string
	head    uint64
}

const worldCallees = 12

// TestFactsAreFoundWhereverTheyAreIndexed does at random what moves facts from the index in memory to the file's, or keeps
// them from getting there, and asks for every callee after each step.
func TestFactsAreFoundWhereverTheyAreIndexed(t *testing.T) {
	chance := seeded(t)
	for range rounds(t, 12, 600) {
		w := &indexWorld{T: t, chance: chance, dir: t.TempDir(), facts: map[eligibility.CalleeToken][]uint64{}, numbers: map[eligibility.CalleeToken]string{}}
		generation := 1 + chance.IntN(40)
		w.l = open(t, w.dir, ledger.OfGenerations(generation))
		for range 40 {
			w.step(generation)
			w.look()
		}
		if r := verify(t, w.l); !r.OK() || r.Sound != w.head {
			t.Fatalf("Verify reports %+v", r)
		}
		if err := w.l.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
}

func (w *indexWorld) step(generation int) {
	w.Helper()
	switch w.chance.IntN(8) {
	case 0, 1:
		w.append(1 + w.chance.IntN(3))
	case 2:
		w.append(70 + w.chance.IntN(150))
	case 3:
		if err := w.l.FileStep(); err != nil {
			w.Fatal(err)
		}
	case 4:
		w.refused()
	case 5:
		w.erase()
	case 6:
		if err := w.l.Close(); err != nil {
			w.Fatal(err)
		}
		w.l = open(w, w.dir, ledger.OfGenerations(generation))
	case 7:
		w.crash(generation)
	}
}

func (w *indexWorld) append(n int) {
	w.Helper()
	all := make([]ledger.Append, n)
	for i := range all {
		w.next++
		all[i] = ledger.Append{Callee: ledgertest.Callee(w.chance.IntN(worldCallees)), Kind: 2, Payload: fmt.Append(nil, "payload ", w.next)}
		if w.chance.IntN(3) == 0 {
			all[i].SealedNumber = fmt.Append(nil, "number ", w.next)
		}
	}
	for i, a := range mustAppend(w, w.l, all...) {
		w.head++
		if a.Position != w.head || a.Repeated {
			w.Fatalf("fact %d: %+v, want position %d", i, a, w.head)
		}
		w.facts[all[i].Callee] = append(w.facts[all[i].Callee], a.Position)
		if _, is := w.numbers[all[i].Callee]; !is && all[i].SealedNumber != nil {
			w.numbers[all[i].Callee] = string(all[i].SealedNumber)
		}
	}
	again := all[w.chance.IntN(n)]
	if a := mustAppend(w, w.l, again)[0]; !a.Repeated {
		w.Fatalf("the same fact again: %+v", a)
	}
}

// refused appends a fact whose transaction is undone.
func (w *indexWorld) refused() {
	w.Helper()
	w.next++
	_, err := w.l.Erase(w.Context(), ledger.Erasure{
		Fact:  ledger.Append{RequestKey: fmt.Sprint("refused ", w.next), Callee: ledgertest.Callee(w.chance.IntN(worldCallees)), Kind: 22},
		Kinds: []int32{2}, Through: w.head + 1,
	})
	if !errors.Is(err, ledger.ErrMoved) {
		w.Fatalf("an erasure that knows too much: %v", err)
	}
}

func (w *indexWorld) erase() {
	w.Helper()
	w.next++
	callee := ledgertest.Callee(w.chance.IntN(worldCallees))
	last := uint64(0)
	if positions := w.facts[callee]; len(positions) > 0 {
		last = positions[len(positions)-1]
	}
	done, err := w.l.Erase(w.Context(), ledger.Erasure{
		Fact: ledger.Append{RequestKey: fmt.Sprint("erased ", w.next), Callee: callee, Kind: 22}, Kinds: []int32{2}, Through: last,
	})
	w.head++
	if err != nil || done.Position != w.head {
		w.Fatalf("erasure: %+v, %v", done, err)
	}
	w.facts[callee] = append(w.facts[callee], done.Position)
	delete(w.numbers, callee)
}

// crash goes on with the files as they are now, as after a kill.
func (w *indexWorld) crash(generation int) {
	w.Helper()
	dir := w.TempDir()
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		whole, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil && !os.IsNotExist(err) {
			w.Fatal(err)
		}
		if err == nil {
			if err := os.WriteFile(filepath.Join(dir, name), whole, 0o600); err != nil {
				w.Fatal(err)
			}
		}
	}
	if err := w.l.Close(); err != nil {
		w.Fatal(err)
	}
	w.dir, w.l = dir, open(w, dir, ledger.OfGenerations(generation))
}

func (w *indexWorld) look() {
	w.Helper()
	var all []eligibility.CalleeToken
	for n := range worldCallees {
		callee := ledgertest.Callee(n)
		all = append(all, callee)
		w.wantFacts(callee)
		number, err := w.l.SealedNumber(w.Context(), callee)
		if want, is := w.numbers[callee]; is != (err == nil) || string(number) != want || (!is && !errors.Is(err, ledger.ErrNotFound)) {
			w.Errorf("callee %d has number %q, %v; want %q", n, number, err, want)
		}
	}
	many, err := w.l.FactsOfMany(w.Context(), all)
	if err != nil || len(many.Entries) != int(w.head) {
		w.Errorf("%d facts of many, want %d: %v", len(many.Entries), w.head, err)
	}
	if !slices.IsSortedFunc(many.Entries, func(a, b ledger.Entry) int {
		return cmp.Or(compareTokens(a.Callee, b.Callee), cmp.Compare(a.Position, b.Position))
	}) {
		w.Error("the facts of many are not in order")
	}
	w.wantCallees(all)
}

func (w *indexWorld) wantFacts(callee eligibility.CalleeToken) {
	w.Helper()
	s, err := w.l.Facts(w.Context(), callee, 0)
	if err != nil || s.Head != w.head {
		w.Errorf("head %d, want %d: %v", s.Head, w.head, err)
	}
	var got []uint64
	for i := range s.Entries {
		got = append(got, s.Entries[i].Position)
	}
	if want := w.facts[callee]; !slices.Equal(got, want) {
		w.Errorf("callee %x is at %v, want %v", callee, got, want)
	}
}

func (w *indexWorld) wantCallees(all []eligibility.CalleeToken) {
	w.Helper()
	var got []eligibility.CalleeToken
	for after := (eligibility.CalleeToken{}); ; {
		some, err := w.l.Callees(w.Context(), after, 5)
		if err != nil {
			w.Error(err)
		}
		got = append(got, some...)
		if err != nil || len(some) < 5 {
			break
		}
		after = some[len(some)-1]
	}
	if want := slices.SortedFunc(maps.Keys(w.facts), compareTokens); !slices.Equal(got, want) {
		w.Errorf("callees %x, want %x", got, want)
	}
	numbered, err := w.l.Numbered(w.Context(), all)
	if want := slices.SortedFunc(maps.Keys(w.numbers), compareTokens); err != nil || !slices.Equal(numbered, want) {
		w.Errorf("numbered %x, want %x: %v", numbered, want, err)
	}
}

func compareTokens(a, b eligibility.CalleeToken) int { return bytes.Compare(a[:], b[:]) }

// TestAcknowledgedFactsAreFoundWhileOthersAreFiled asks for each fact as soon as it is recorded, beside loads that keep
// moving facts to the file's index.
func TestAcknowledgedFactsAreFoundWhileOthersAreFiled(t *testing.T) {
	l := open(t, t.TempDir(), ledger.OfGenerations(200))
	done, loads := make(chan struct{}), sync.WaitGroup{}
	loads.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			default:
			}
			if _, err := l.Append(context.Background(), bulkFacts(n, 100)); err != nil {
				t.Error(err)
			}
		}
	})
	var asking sync.WaitGroup
	for caller := range 4 {
		asking.Go(func() {
			for n := range rounds(t, 150, 5_000) {
				callee := ledgertest.Callee(caller*10 + n%3)
				f := ledger.Append{Callee: callee, Kind: 2, Payload: fmt.Append(nil, caller, " ", n)}
				a := mustAppend(t, l, f)[0]
				s, err := l.Facts(t.Context(), callee, 0)
				if err != nil || len(s.Entries) != n/3+1 || s.Entries[n/3].Position != a.Position {
					t.Errorf("%d facts after the recording of fact %d at %d: %v", len(s.Entries), n/3+1, a.Position, err)
					return
				}
			}
		})
	}
	asking.Wait()
	close(done)
	loads.Wait()
}

// TestVerifyFindsAWrongIndex: what is in the chain, and cannot be found by its callee, is a lost objection.
func TestVerifyFindsAWrongIndex(t *testing.T) {
	for name, c := range map[string]struct{ edit, problem string }{
		"a place is missing":       {"DELETE FROM callee_facts WHERE position = 3", "holds 19 of 20"},
		"another callee's":         {"UPDATE callee_facts SET callee = zeroblob(16) WHERE position = 3", "position 3 under another callee"},
		"a fact that is not":       {"INSERT INTO callee_facts VALUES (zeroblob(16), 21)", "position 21 under another callee"},
		"empty":                    {"DELETE FROM callee_facts", "holds 0 of 20"},
		"said to go further":       {"UPDATE indexed SET through = 21", "holds 20 of 21"},
		"said to go nowhere":       {"UPDATE indexed SET through = 0", ""},
		"without its end":          {"DELETE FROM indexed", "how far the index by callee goes is missing"},
		"twice, under two callees": {"INSERT INTO callee_facts VALUES (zeroblob(16), 3)", "position 3 under another callee"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, ledger.OfGenerations(20))
			for i := range 20 {
				mustAppend(t, l, ledgertest.Fact(i%7, fmt.Sprint("key ", i)))
			}
			db := beside(t, filepath.Join(dir, "ledger.db"))
			for through := 0; through < 20; {
				if err := errors.Join(l.FileStep(), db.QueryRow("SELECT through FROM indexed").Scan(&through)); err != nil {
					t.Fatal(err)
				}
			}
			mustExec(t, db, c.edit)
			r, err := l.Verify(t.Context())
			if err != nil || r.OK() != (c.problem == "") || !strings.Contains(r.Problem, c.problem) || r.Sound != 20 {
				t.Fatalf("Verify reports %+v, %v", r, err)
			}
		})
	}
}

// TestAnIndexBeyondTheFactsIsRefused, and so is one that leads to somebody else's fact.
func TestAnIndexBeyondTheFactsIsRefused(t *testing.T) {
	dir := filled(t, 20)
	alter(t, filepath.Join(dir, "ledger.db"), "UPDATE indexed SET through = 21")
	wantRefusal(t, dir, ledger.ErrCorrupt, "position 20", "the index by callee goes to 21")

	l, db := sample(t, 20)
	mustExec(t, db, "INSERT INTO callee_facts VALUES (?, 5)", callee(1))
	if _, err := l.Facts(t.Context(), ledgertest.Callee(1), 0); !errors.Is(err, ledger.ErrCorrupt) || !strings.Contains(err.Error(), "position 5") {
		t.Errorf("reading gives %v", err)
	}
	if _, err := l.FactsOfMany(t.Context(), []eligibility.CalleeToken{ledgertest.Callee(0), ledgertest.Callee(1)}); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("reading many gives %v", err)
	}
}
