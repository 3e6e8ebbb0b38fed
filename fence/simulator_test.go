package fence

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// The simulator of T01: one thread, its own time, everything from one seed. It drives core, renewal, driftMeter and
// FloorTable as the goroutines in loops.go do, among machines, a network and stores that fail. What it stands in for is the
// server (see simserver_test.go), the ledger and Redis.

const (
	ms = time.Millisecond
	us = time.Microsecond

	simTerm = 500 * ms
	simPage = 3 // changes per reading
	// simKeep stands for the age that a record may have, which is a day in production.
	simKeep    = 1500 * ms
	horizon    = 7 * time.Second
	quietFrom  = 4500 * ms // no faults after this, so that all must recover
	subjects   = 4         // 0 is the catalogue
	ledgerZero = 1_000_000 * time.Second
)

type event struct {
	at    time.Duration
	order int
	do    func()
}

// world is one run.
type world struct {
	*rand.Rand
	now    time.Duration // true time
	order  int
	queue  []event
	ledger simLedger
	redis  simRedis
	nodes  []*machine
	writes []*write
	checks []check

	loss     float64 // of each message
	bound    float64 // of drift
	snapshot bool
	ran      tally
}

// tally counts over many runs.
type tally struct {
	runs, checks, undecided, fast, allowed int
	violations, stuck                      int
	first                                  string // what was seen first that must not be
}

func (w *world) at(t time.Duration, do func()) {
	w.order++
	w.queue = append(w.queue, event{t, w.order, do})
	for i := len(w.queue) - 1; i > 0; {
		parent := (i - 1) / 2
		if !w.earlier(i, parent) {
			break
		}
		w.queue[i], w.queue[parent] = w.queue[parent], w.queue[i]
		i = parent
	}
}

func (w *world) earlier(i, j int) bool {
	a, b := &w.queue[i], &w.queue[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

func (w *world) take() event {
	first, last := w.queue[0], len(w.queue)-1
	w.queue[0] = w.queue[last]
	w.queue[last] = event{}
	w.queue = w.queue[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			return first
		}
		if child+1 < last && w.earlier(child+1, child) {
			child++
		}
		if !w.earlier(child, i) {
			return first
		}
		w.queue[i], w.queue[child] = w.queue[child], w.queue[i]
		i = child
	}
}

func (w *world) run() {
	for len(w.queue) > 0 && w.queue[0].at <= horizon {
		e := w.take()
		w.now = e.at
		e.do()
	}
	w.now = horizon
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.Int64N(int64(d))) }

func (w *world) chance(p float64) bool { return w.Float64() < p }

// travel is how long a message takes: seldom very long, so that messages overtake each other.
func (w *world) travel() time.Duration {
	switch n := w.IntN(1000); {
	case n < 3:
		return w.upTo(900 * ms)
	case n < 20:
		return w.upTo(80 * ms)
	default:
		return 80*us + w.upTo(900*us)
	}
}

// machine is a computer with one process on it that is killed and started again.
type machine struct {
	*world
	number   int
	rate     float64 // of its boot-time clock
	skew     time.Duration
	wallSkew time.Duration // beyond the boot-time clock
	paused   time.Duration // until then nothing runs here, but the clock
	pauses   time.Duration // of all until now
	slow     time.Duration // until then messages crawl
	cutOff   [2]time.Duration
	process  int // counts up with each start
	*gatekeeper
}

// Where messages go.
const (
	toLedger = iota
	toRedis
)

func (m *machine) bootTime() time.Duration {
	return m.skew + time.Duration(float64(m.now)*m.rate)
}

// clock is what the fence reads: the mutant that relies on the wall clock gets that one.
func (m *machine) clock() time.Duration {
	if mutantWallClock {
		return m.bootTime() + m.wallSkew
	}
	return m.bootTime()
}

// do runs something in this process after a while by its own clock, if it still lives, when the machine is not paused.
func (m *machine) do(after time.Duration, work func()) {
	process := m.process
	var try func()
	try = func() {
		switch {
		case m.process != process:
		case m.paused > m.now:
			m.world.at(m.paused, try)
		default:
			work()
		}
	}
	m.world.at(m.now+1+time.Duration(float64(after)/m.rate), try)
}

func (m *machine) travel() time.Duration {
	if m.slow > m.now {
		return m.world.travel() + m.upTo(60*ms)
	}
	return m.world.travel()
}

func (m *machine) lost(where int) bool {
	return m.cutOff[where] > m.now || where == toLedger && m.ledger.down > m.now || m.chance(m.loss)
}

// call sends a request, which may be carried out late or not at all, and its answer may be lost. When none came in time,
// failed is called; the answer may come all the same, unless failed is nil.
func (m *machine) call(where int, timeout time.Duration, serve func() func(), failed func()) {
	process, answered, over := m.process, false, false
	m.world.at(m.now+m.travel(), func() {
		if m.lost(where) {
			return
		}
		answer := serve()
		m.world.at(m.now+m.travel(), func() {
			if m.lost(where) || m.process != process {
				return
			}
			m.do(0, func() {
				if !over {
					answered = true
					answer()
				} else if answer != nil && m.chance(0.5) {
					answer() // late
				}
			})
		})
	})
	m.do(timeout, func() {
		if !answered {
			over = true
			failed()
		}
	})
}

// simLedger is the ledger: it is never wrong, but may be away, and forgets acknowledgements when it goes.
type simLedger struct {
	facts     []fact
	keys      map[int]uint64 // position by write
	rows      []simRow
	announced uint64
	down      time.Duration
}

type fact struct {
	subject int
	allow   bool
	at      time.Duration
}

type simRow struct {
	id                          NodeID
	applied, durable, announced uint64
}

func (l *simLedger) head() uint64 { return uint64(len(l.facts)) }

func (l *simLedger) row(id NodeID) *simRow {
	for i := range l.rows {
		if l.rows[i].id == id {
			return &l.rows[i]
		}
	}
	return nil
}

func (l *simLedger) announce(id NodeID, applied uint64) {
	if l.row(id) == nil {
		l.rows = append(l.rows, simRow{id: id})
	}
	l.announced++
	row := l.row(id)
	row.announced = l.announced
	row.applied = max(row.applied, applied)
	row.durable = row.applied
}

func (l *simLedger) acknowledge(id NodeID, applied uint64) {
	if row := l.row(id); row != nil {
		row.applied = max(row.applied, applied)
	}
}

func (l *simLedger) lapse(id NodeID, announced uint64) {
	if row := l.row(id); row != nil && row.announced == announced {
		l.leave(id)
	}
}

func (l *simLedger) leave(id NodeID) {
	l.rows = slices.DeleteFunc(l.rows, func(row simRow) bool { return row.id == id })
}

func (l *simLedger) nodes() []Node {
	nodes := make([]Node, len(l.rows))
	for i, row := range l.rows {
		nodes[i] = Node{ID: row.id, Applied: row.applied, Announced: row.announced}
	}
	return nodes
}

func simID(machine, process int) NodeID { return NodeID{0: 1, 1: byte(machine), 2: byte(process)} }

func (l *simLedger) changes(after uint64, limit int) []Change {
	var changes []Change
	for p := after + 1; p <= l.head() && len(changes) < limit; p++ {
		changes = append(changes, Change{Position: p, Callee: tokenOf(l.facts[p-1].subject)})
	}
	return changes
}

func (l *simLedger) positionAt(t time.Duration) uint64 {
	p := l.head()
	for p > 0 && l.facts[p-1].at > t {
		p--
	}
	return p
}

// record is what may be kept of a subject.
type record struct {
	position uint64 // where it was read
	allow    bool
}

func (l *simLedger) read(subject int) record {
	for p := l.head(); p > 0; p-- {
		if f := l.facts[p-1]; f.subject == subject {
			return record{l.head(), f.allow}
		}
	}
	return record{l.head(), subject == 0} // campaigns run until they are stopped
}

func (l *simLedger) append(key int, f fact) uint64 {
	if p, known := l.keys[key]; known {
		return p
	}
	l.facts = append(l.facts, f)
	l.keys[key] = l.head()
	return l.head()
}

func tokenOf(subject int) (token eligibility.CalleeToken) {
	token[0], token[7] = byte(subject), byte(subject)
	return token
}

// simRedis answers with any value it ever had, mostly with the newest.
type simRedis struct {
	values [subjects][]record
}

func (r *simRedis) get(w *world, subject int) (record, bool) {
	values := r.values[subject]
	switch {
	case len(values) == 0:
		return record{}, false
	case w.chance(0.1):
		return values[w.IntN(len(values))], true
	default:
		return values[len(values)-1], true
	}
}
