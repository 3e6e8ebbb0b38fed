package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	// generationFacts is how many facts come into the file's index at once. More share more of its pages, and take longer to
	// be read when the service starts after a crash: a second for a million.
	generationFacts = 1 << 18
	// quietFacts is how many facts are worth it where no import goes on.
	quietFacts = 1 << 10
	// quietStep is how many of them are filed every quietPause, beginning quietAfter the last bulk append.
	quietStep  = 1 << 10
	quietPause = 100 * time.Millisecond
	quietAfter = time.Second
)

const (
	indexedQuery     = "SELECT through FROM indexed WHERE id = ?"
	moveIndexedQuery = "UPDATE indexed SET through = ? WHERE id = 1"
	youngQuery       = "SELECT position, callee FROM facts WHERE position > ? ORDER BY position"
	positionsQuery   = "SELECT position FROM callee_facts WHERE callee = ?"
)

// calleeRows may be there already: those of a generation that a crash kept from being filed whole.
var calleeRows = newBulk("OR IGNORE", "callee_facts", "callee, position", "")

// young is the index by callee of the newest facts, which are not in the file's index (callee_facts) yet.
//
// A reader asks it before it asks the file. What was filed meanwhile is then in both; what was in neither is not committed.
type young struct {
	size  int // facts of a generation
	quiet int

	mu     sync.RWMutex
	taking generation  // whose facts are still arriving
	filing *generation // is on its way into the file's index; nil for none
}

// generation is the index of facts that follow each other.
type generation struct {
	first  uint64                            // position of the first one
	before []int32                           // for each fact, which fact of its callee came before it, from 1; 0 for none
	newest map[eligibility.CalleeToken]int32 // each callee's last fact, from 1

	sorted  chan struct{} // closed when callees are
	callees []eligibility.CalleeToken
	filed   int // callees that are in the file; of whoever holds turn
}

func newGeneration(first uint64) generation {
	return generation{first: first, newest: make(map[eligibility.CalleeToken]int32)}
}

func (g *generation) next() uint64 { return g.first + uint64(len(g.before)) }

func (g *generation) add(callee eligibility.CalleeToken) {
	g.before = append(g.before, g.newest[callee])
	g.newest[callee] = int32(len(g.before))
}

// of adds a callee's positions, the newest first.
func (g *generation) of(callee eligibility.CalleeToken, positions []uint64) []uint64 {
	for at := g.newest[callee]; at > 0; at = g.before[at-1] {
		positions = append(positions, g.first+uint64(at)-1)
	}
	return positions
}

// cut forgets all but the first n facts.
func (g *generation) cut(n int) {
	for callee, at := range g.newest {
		for int(at) > n {
			at = g.before[at-1]
		}
		if at == 0 {
			delete(g.newest, callee)
		} else {
			g.newest[callee] = at
		}
	}
	g.before = g.before[:n]
}

// sort makes a generation that takes no more facts ready to be filed.
func (g *generation) sort() {
	defer close(g.sorted)
	g.callees = make([]eligibility.CalleeToken, 0, len(g.newest))
	for callee := range g.newest {
		g.callees = append(g.callees, callee)
	}
	slices.SortFunc(g.callees, compareCallees)
}

func compareCallees(a, b eligibility.CalleeToken) int { return bytes.Compare(a[:], b[:]) }

// add takes a fact that is being written; cut takes it back where it was not.
func (y *young) add(entries []Entry) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for i := range entries {
		y.taking.add(entries[i].Callee)
	}
}

func (y *young) cut(after uint64) {
	if y.taking.next() <= after+1 || mutantYoungUncut {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.taking.cut(int(after + 1 - y.taking.first))
}

// of is the positions of a callee's young facts, in order.
func (y *young) of(callee eligibility.CalleeToken) []uint64 {
	y.mu.RLock()
	defer y.mu.RUnlock()
	positions := y.taking.of(callee, nil)
	if y.filing != nil && !mutantYoungOfOne {
		positions = y.filing.of(callee, positions)
	}
	slices.Reverse(positions)
	return positions
}

// ofMany is the positions of the young facts of callees, in no order.
func (y *young) ofMany(callees []eligibility.CalleeToken) (positions []uint64) {
	y.mu.RLock()
	defer y.mu.RUnlock()
	for _, callee := range callees {
		positions = y.taking.of(callee, positions)
		if y.filing != nil {
			positions = y.filing.of(callee, positions)
		}
	}
	return positions
}

// behind is the callees of young facts after one, at most limit, in order.
func (y *young) behind(after eligibility.CalleeToken, limit int) []eligibility.CalleeToken {
	y.mu.RLock()
	defer y.mu.RUnlock()
	var found []eligibility.CalleeToken
	for _, g := range []*generation{&y.taking, y.filing} {
		if g == nil {
			continue
		}
		for callee := range g.newest {
			if compareCallees(callee, after) > 0 {
				found = append(found, callee)
			}
		}
	}
	slices.SortFunc(found, compareCallees)
	found = slices.Compact(found)
	return found[:min(limit, len(found))]
}

// share is how many young facts a transaction files that has written so many facts: twice as many, so that a generation is
// filed before the next one is full. Small appends leave it to quiet times.
func (y *young) share(written int) int {
	if written < bulkFrom && len(y.taking.before) < y.size {
		return 0
	}
	return 2 * written
}

// turnOver ends a generation of so many facts, if the one before it is filed. It is for whoever holds turn, between
// transactions.
func (y *young) turnOver(least int) {
	if len(y.taking.before) < least || y.filing != nil {
		return
	}
	full := y.taking
	full.sorted = make(chan struct{})
	go full.sort()
	y.mu.Lock()
	defer y.mu.Unlock()
	y.filing, y.taking = &full, newGeneration(full.next())
}

// worthFiling reports whether there are young facts enough to file them while nothing else happens.
func (y *young) worthFiling() bool {
	y.mu.RLock()
	defer y.mu.RUnlock()
	return y.filing != nil || len(y.taking.before) >= y.quiet
}

// ready is the generation that can be filed now, or nil. It is for whoever holds turn.
func (y *young) ready() *generation {
	if y.filing == nil {
		return nil
	}
	select {
	case <-y.filing.sorted:
		return y.filing
	default:
		return nil
	}
}

// filed notes how many callees a transaction has filed.
func (y *young) filed(callees int) {
	y.filing.filed = callees
	if callees < len(y.filing.callees) {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.filing = nil
}

// file writes about n facts of a generation into the file's index, all of a callee at once, and gives how many callees are
// in it then.
func (w writer) file(g *generation, n int) (callees int, err error) {
	args, positions := make([]any, 0, 2*(n+1)), []uint64(nil)
	for callees = g.filed; callees < len(g.callees) && len(args) < 2*n; callees++ {
		positions = g.of(g.callees[callees], positions[:0])
		for _, position := range slices.Backward(positions) {
			args = append(args, g.callees[callees][:], int64(position))
		}
	}
	if callees == len(g.callees) || mutantIndexedEarly {
		if err := w.exec(moveIndexedQuery, int64(g.next()-1)); err != nil {
			return 0, err
		}
	}
	return callees, w.insert(calleeRows, args)
}

// fileYoung files about n young facts in the transaction under way, where there are some to file. done is for after its
// commit.
func (s *SQLite) fileYoung(n int) (done func(), err error) {
	g := s.young.ready()
	if g == nil || n == 0 {
		return func() {}, nil
	}
	callees, err := s.writer.file(g, n)
	return func() { s.young.filed(callees) }, err
}

// fileQuietly files young facts while no import goes on: then few have to be read when the service starts.
func (s *SQLite) fileQuietly() {
	defer s.quietly.Done()
	tick := time.NewTicker(quietPause)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		if s.young.worthFiling() && time.Since(time.Unix(0, s.bulkAt.Load())) >= quietAfter {
			_ = s.fileStep() // what the disk would not take is filed later, or read at the next start
		}
	}
}

func (s *SQLite) fileStep() error {
	return s.inTurn(context.Background(), func() error {
		s.young.turnOver(s.young.quiet)
		if s.young.ready() == nil {
			return nil
		}
		var done func()
		err := s.transaction(func() (err error) {
			done, err = s.fileYoung(quietStep)
			return err
		})
		if err == nil {
			done()
		}
		return err
	})
}

// readYoung reads which facts are not in the file's index.
func (r reader) readYoung(ctx context.Context, y *young, head uint64) error {
	through, err := r.indexed()
	if err != nil {
		return err
	}
	if through > head {
		return r.corrupt(head, fmt.Sprintf("the index by callee goes to %d", through))
	}
	y.taking = newGeneration(through + 1)
	rows, err := r.query(youngQuery, int64(through))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() && ctx.Err() == nil {
		var position uint64
		var token sql.RawBytes
		if err := rows.Scan(&position, &token); err != nil {
			return err
		}
		if position != y.taking.next() || len(token) != len(eligibility.CalleeToken{}) {
			return r.corrupt(y.taking.next(), "the fact is missing")
		}
		y.taking.add(eligibility.CalleeToken(token))
	}
	return interrupted(ctx, rows.Err())
}

// addYoung adds the facts at some positions, up to the last one, that are not among the entries yet.
func (r reader) addYoung(ctx context.Context, entries []Entry, positions []uint64, last int64) ([]Entry, error) {
	if len(positions) == 0 || mutantYoungUnread {
		return entries, nil
	}
	known := make(map[uint64]bool, len(entries))
	for i := range entries {
		known[entries[i].Position] = true
	}
	for _, position := range positions {
		if position > uint64(last) || known[position] {
			continue
		}
		more, err := r.entries(ctx, entryQuery, int64(position))
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			return nil, r.corrupt(position, "the fact is missing")
		}
		entries = append(entries, more...)
	}
	return entries, nil
}

// positionsOf is where a callee's facts are. It is for whoever holds turn.
func (s *SQLite) positionsOf(callee eligibility.CalleeToken) ([]uint64, error) {
	positions := s.young.of(callee)
	err := s.writer.each(positionsQuery, []any{callee[:]}, func(scan scanning) error {
		var position uint64
		err := scan(&position)
		positions = append(positions, position)
		return err
	})
	slices.Sort(positions)
	return slices.Compact(positions), err
}

func lastOf(positions []uint64) uint64 {
	if len(positions) == 0 {
		return 0
	}
	return positions[len(positions)-1]
}
