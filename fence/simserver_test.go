package fence

import "time"

// check is one CheckCall. at is when its ALLOW left.
type check struct {
	subject     int
	invoked, at time.Duration
	path        string
}

// write is one objection (not allow) or consent, or for subject 0 the stopping or starting of the campaign.
type write struct {
	key, subject int
	allow        bool
	position     uint64
	ok           time.Duration // 0: never
	over         bool
}

type question struct {
	*machine
	subject  int
	invoked  time.Duration
	answered bool
	slowly   bool
}

// ask is CheckCall on a machine.
func (m *machine) ask(subject int) {
	q := &question{machine: m, subject: subject, invoked: m.now}
	m.ran.checks++
	m.ran.undecided++
	m.do(m.upTo(200*us), func() {
		if !m.joined {
			return
		}
		m.call(toRedis, 15*ms, func() func() {
			r, found := m.redis.get(m.world, subject)
			return func() {
				if found {
					q.decide(r)
				} else {
					q.askLedger()
				}
			}
		}, q.askLedger)
	})
}

func (q *question) answer(allow bool, path string) {
	if q.answered || q.now-q.invoked > 100*ms && !allow {
		return
	}
	q.answered = true
	q.ran.undecided--
	if allow {
		q.ran.allowed++
		if path == "held" {
			q.ran.fast++
		}
		q.checks = append(q.checks, check{q.subject, q.invoked, q.now, path})
	}
}

// decide answers from a record and the catalogue in force. An ALLOW leaves after the lease was looked at, and after that
// the floor and the catalogue; the process may be interrupted between any two of these.
func (q *question) decide(r record) {
	if q.slowly || q.answered {
		return
	}
	campaign := q.campaign
	if !r.allow || !campaign.allow {
		q.answer(false, "record")
		return
	}
	q.do(q.hiccup(), func() {
		if !q.core.held(q.clock()) {
			q.askLedger()
			return
		}
		q.do(q.hiccup(), func() {
			if !q.floors.Current(tokenOf(q.subject), r.position) || q.campaign != campaign {
				q.askLedger()
				return
			}
			q.do(q.hiccup(), func() { q.answer(true, "held") })
		})
	})
}

func (q *question) hiccup() time.Duration {
	if q.chance(0.02) {
		return q.upTo(60 * ms)
	}
	return q.upTo(30 * us)
}

// askLedger is the way without a lease: a reading that begins after the request came.
func (q *question) askLedger() {
	if q.slowly || q.answered {
		return
	}
	q.slowly = true
	q.call(toLedger, 60*ms, func() func() {
		r, campaign := q.ledger.read(q.subject), q.ledger.read(0)
		return func() {
			q.answer(r.allow && campaign.allow, "ledger")
			q.call(toRedis, 60*ms, func() func() {
				q.redis.values[q.subject] = append(q.redis.values[q.subject], r)
				return func() {}
			}, func() {})
		}
	}, func() {})
}

// record carries out a write: append, own floor or catalogue, the others, OK. A client that hears nothing tries another node.
func (m *machine) record(w *write) {
	if w.over {
		return
	}
	m.world.at(m.now+700*ms, func() {
		if w.ok == 0 && m.now < quietFrom+time.Second {
			m.nodes[m.IntN(len(m.nodes))].record(w)
		}
	})
	if !m.joined {
		return
	}
	m.do(m.upTo(200*us), func() {
		m.call(toLedger, simTimeout, func() func() {
			before := m.ledger.head()
			position := m.ledger.append(w.key, fact{w.subject, w.allow, m.now})
			if w.position = position; position > before {
				for _, n := range m.nodes {
					n.notify()
				}
			}
			return func() { m.obey(w, position) }
		}, func() {})
	})
}

func (m *machine) obey(w *write, position uint64) {
	if w.subject != 0 {
		m.floors.Raise(tokenOf(w.subject), position)
		m.settleFor(w, position)
		return
	}
	if m.campaign.position < position {
		m.loadCatalogue(func(error) { m.obey(w, position) })
		return
	}
	m.settleFor(w, position)
}

func (m *machine) settleFor(w *write, position uint64) {
	began, paused := m.now, m.pauses
	m.settle(position, func() {
		longest := 2*(rules{simTerm, m.bound}).patience()*11/10 + m.pauses - paused + 10*ms
		if m.now-began > longest {
			m.ran.stuck++
			m.ran.saw("position %d was settled after %v, paused for %v", position, m.now-began, m.pauses-paused)
		}
		if w.ok == 0 {
			w.ok, w.over = m.now, true
		}
	})
}
