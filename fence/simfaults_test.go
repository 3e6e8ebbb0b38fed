package fence

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// newWorld makes a run with its traffic and faults laid out.
func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1))}
	w.ledger.keys = map[int]uint64{}
	w.loss, w.snapshot = 0.01*w.Float64(), w.chance(0.5)
	w.bound = []float64{0.01, 0.05}[w.IntN(2)]
	for number := range 3 {
		m := &machine{world: w, number: number, gatekeeper: &gatekeeper{}}
		m.rate = 1 + w.bound*0.9*(2*w.Float64()-1)
		m.skew = w.upTo(10 * time.Second)
		w.nodes = append(w.nodes, m)
		w.at(w.upTo(50*ms), m.boot)
	}
	w.traffic()
	w.faults()
	return w
}

func (w *world) traffic() {
	for t := 300 * ms; t < horizon-100*ms; t += ms + w.upTo(24*ms) {
		m, subject := w.nodes[w.IntN(3)], 1+w.IntN(subjects-1)
		w.at(t, func() { m.ask(subject) })
	}
	for subject := range subjects {
		allow := subject != 0
		for t := w.upTo(400 * ms); t < quietFrom; t += 100*ms + w.upTo(1200*ms) {
			m := w.nodes[w.IntN(3)]
			a := &write{key: len(w.writes), subject: subject, allow: allow}
			w.writes = append(w.writes, a)
			w.at(t, func() { m.record(a) })
			allow = !allow
			if subject == 0 && !allow {
				t += 600 * ms // campaigns mostly run
			}
		}
	}
}

func (w *world) every(mean time.Duration, fault func(lasts time.Duration)) {
	for t := w.upTo(mean); t < quietFrom; t += mean/2 + w.upTo(mean) {
		lasts := min(5*ms+w.upTo(3*simTerm), quietFrom-t)
		w.at(t, func() { fault(lasts) })
	}
}

func (w *world) faults() {
	any := func() *machine { return w.nodes[w.IntN(3)] }
	w.every(1500*ms, func(lasts time.Duration) { any().pause(lasts) })
	w.every(1500*ms, func(lasts time.Duration) { any().cutOff[toLedger] = w.now + lasts })
	w.every(2*time.Second, func(lasts time.Duration) { any().cutOff[toRedis] = w.now + lasts })
	w.every(1500*ms, func(lasts time.Duration) { any().slow = w.now + lasts })
	w.every(4*time.Second, func(lasts time.Duration) { w.ledgerGoes(lasts) })
	w.every(2*time.Second, func(time.Duration) {
		m := any()
		m.process++
		m.gatekeeper = &gatekeeper{}
		m.paused = 0
		w.at(w.now+w.upTo(300*ms), m.boot)
	})
	w.every(2*time.Second, func(time.Duration) { any().wallSkew += w.upTo(6*time.Second) - 3*time.Second })
	w.every(2*time.Second, func(time.Duration) { w.redisFails() })
}

func (m *machine) pause(lasts time.Duration) {
	m.paused = max(m.paused, m.now+lasts)
	m.pauses += lasts
}

func (w *world) ledgerGoes(lasts time.Duration) {
	w.ledger.down = w.now + lasts/2
	if w.chance(0.5) {
		for i := range w.ledger.rows {
			w.ledger.rows[i].applied = w.ledger.rows[i].durable
		}
	}
}

func (w *world) redisFails() {
	for subject := range w.redis.values {
		values := w.redis.values[subject]
		if w.chance(0.5) {
			w.redis.values[subject] = nil // flushed
		} else if len(values) > 0 {
			w.redis.values[subject] = values[:1+w.IntN(len(values))] // a replica that was behind, or an old dump
		}
	}
}

// judge looks for what must not be: an ALLOW to a check that was invoked after the OK of an objection or a stop, with no
// newer consent or start; a node without a lease long after the last fault.
func (w *world) judge(seed uint64) tally {
	t := w.ran
	t.runs = 1
	for _, c := range w.checks {
		for _, o := range w.writes {
			if (o.subject == c.subject || o.subject == 0) && w.overlooked(o, c) {
				t.violations++
				t.saw("seed %d: subject %d allowed (%s) at %v, invoked %v; position %d of subject %d was OK at %v",
					seed, c.subject, c.path, c.at, c.invoked, o.position, o.subject, o.ok)
				break
			}
		}
	}
	for _, m := range w.nodes {
		if !m.joined || !m.core.held(m.clock()) {
			t.stuck++
			t.saw("seed %d: node %d has no lease at the end (joined %v)", seed, m.number, m.joined)
		}
	}
	return t
}

func (w *world) overlooked(objection *write, c check) bool {
	if objection.allow || objection.ok == 0 || objection.ok > c.invoked {
		return false
	}
	for p := objection.position + 1; p <= w.ledger.head(); p++ {
		if f := w.ledger.facts[p-1]; f.subject == objection.subject && f.allow && f.at <= c.at {
			return false
		}
	}
	return true
}

func (t *tally) saw(format string, args ...any) {
	if t.first == "" {
		t.first = fmt.Sprintf(format, args...)
	}
}

func (t *tally) add(o tally) {
	t.runs += o.runs
	t.checks += o.checks
	t.undecided += o.undecided
	t.fast += o.fast
	t.allowed += o.allowed
	t.violations += o.violations
	t.stuck += o.stuck
	if t.first == "" {
		t.first = o.first
	}
}
