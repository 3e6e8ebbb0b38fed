package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/belpoort/belpoort/eligibility"
)

// MaxCallees bounds how many callees' facts are read at once.
const MaxCallees = 1000

// manyCallees is how many callees one statement reads in SQLite.
const manyCallees = 50

// factsOfManyQuery follows the index by callee, so that nothing is sorted.
var factsOfManyQuery = factColumns + indexedFacts + "WHERE c.callee IN (?" + strings.Repeat(",?", manyCallees-1) + ") AND c.position <= ? ORDER BY c.callee, c.position"

// postgresFactsOfMany reads the facts of an array of callees.
const postgresFactsOfMany = postgresColumns + "facts f ON f.callee = ANY($1) AND f.position <= $2 WHERE h.id = 1 ORDER BY f.callee, f.position"

func checkCallees(callees []eligibility.CalleeToken) error {
	if len(callees) < 1 || len(callees) > MaxCallees {
		return fmt.Errorf("%w: %d callees, want 1 to %d", ErrInvalid, len(callees), MaxCallees)
	}
	return nil
}

// inOrder sorts callees, as the index has them, and leaves each once.
func inOrder(callees []eligibility.CalleeToken) []eligibility.CalleeToken {
	sorted := slices.Clone(callees)
	slices.SortFunc(sorted, compareCallees)
	return slices.Compact(sorted)
}

// FactsOfMany reads up to the head that is known when it begins, which makes its statements one snapshot.
func (s *SQLite) FactsOfMany(ctx context.Context, callees []eligibility.CalleeToken) (Snapshot, error) {
	if err := checkCallees(callees); err != nil {
		return Snapshot{}, err
	}
	callees = inOrder(callees)
	snapshot := Snapshot{Head: s.head.now()}
	for len(callees) > 0 {
		some := callees[:min(manyCallees, len(callees))]
		callees = callees[len(some):]
		args := make([]any, 0, manyCallees+1)
		for i := range manyCallees {
			args = append(args, some[min(i, len(some)-1)][:]) // the last one repeated is read once
		}
		args = append(args, int64(snapshot.Head))
		entries, err := s.someFacts(ctx, some, args)
		if err != nil {
			return Snapshot{}, err
		}
		snapshot.Entries = append(snapshot.Entries, entries...)
	}
	return snapshot, nil
}

// someFacts reads what one statement gives, and the young facts besides. The reader is given back each time: others wait
// for it.
func (s *SQLite) someFacts(ctx context.Context, callees []eligibility.CalleeToken, args []any) (entries []Entry, err error) {
	young, last := s.young.ofMany(callees), args[len(args)-1].(int64)
	err = s.read(ctx, func(r reader) error {
		if entries, err = r.entries(ctx, factsOfManyQuery, args...); err == nil {
			entries, err = r.addYoung(ctx, entries, young, last)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(young) > 0 {
		slices.SortFunc(entries, func(a, b Entry) int {
			return cmp.Or(compareCallees(a.Callee, b.Callee), cmp.Compare(a.Position, b.Position))
		})
	}
	return entries, s.allOf(entries, callees)
}

// FactsOfMany reads in one statement, hence in one snapshot.
func (p *Postgres) FactsOfMany(ctx context.Context, callees []eligibility.CalleeToken) (Snapshot, error) {
	if err := checkCallees(callees); err != nil {
		return Snapshot{}, err
	}
	tokens := make([][]byte, len(callees))
	for i := range callees {
		tokens[i] = callees[i][:]
	}
	entries, head, err := p.entries(ctx, postgresFactsOfMany, tokens, upToOrAll(0))
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{Entries: entries, Head: head}, nil
}
