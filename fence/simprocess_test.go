package fence

import "time"

// gatekeeper is a process: the fence as the simulator drives it, and what the server keeps beside it.
type gatekeeper struct {
	core   *core
	floors *FloorTable

	campaign     record // the catalogue in force
	loading      bool   // a new one is on its way
	joined       bool
	acknowledges bool
	polling      bool
	waiting      []*waiter
}

type waiter struct {
	settling
	done func()
}

const simTimeout = simTerm / 4

// boot starts a process, as Open does.
func (m *machine) boot() {
	m.process++
	floors, err := NewFloors(leastMaxBytes)
	if err != nil {
		panic(err)
	}
	m.gatekeeper = &gatekeeper{floors: floors}
	m.core = newCore(simID(m.number, m.process), rules{simTerm, m.bound}, floors, nil)
	m.enter()
}

// enter is Fence.enter and startingPosition.
func (m *machine) enter() {
	again := func() { m.do(20*ms, m.enter) }
	begin := func(position uint64) {
		m.call(toLedger, simTimeout, func() func() {
			campaign := m.ledger.read(0)
			return func() {
				if m.joined {
					return
				}
				m.joined = true
				m.campaign = campaign
				m.core.start(position)
				m.keepLease()
				m.keepHouse()
				m.wake()
			}
		}, again)
	}
	if !m.snapshot {
		m.call(toLedger, simTimeout, func() func() {
			head := m.ledger.head()
			return func() { begin(head) }
		}, again)
		return
	}
	nobody := simID(3, m.IntN(50))
	m.call(toLedger, simTimeout, func() func() {
		m.ledger.announce(nobody, 0)
		position := m.ledger.positionAt(m.now - simKeep)
		return func() {
			m.call(toLedger, simTimeout, func() func() {
				m.ledger.leave(nobody)
				return func() { begin(position) }
			}, again)
		}
	}, again)
}

// keepLease is Fence.keepLease.
func (m *machine) keepLease() {
	r, began := &renewal{}, m.clock()
	m.renew(r, func(err error) {
		pause := simTerm/4 - (m.bootTime() - began)
		if err != nil && err != errDrift {
			pause = 10*ms + m.upTo(30*ms)
		}
		m.do(max(0, min(pause, simTerm/4)), m.keepLease)
	})
}

// renew is Fence.renew. An answer that comes too late goes on with its own renewal, beside the next.
func (m *machine) renew(r *renewal, over func(error)) {
	ended := false
	end := func(err error) {
		if !ended {
			ended = true
			over(err)
		}
	}
	var advance func()
	advance = func() {
		switch m.core.next(r) {
		case stepRead:
			m.follow(func(head uint64, err error) {
				if err != nil {
					end(err)
					return
				}
				r.reads(head)
				advance()
			})
		case stepAnnounce:
			id, sent, applied := m.core.id, m.clock(), m.core.applied
			m.call(toLedger, simTimeout, func() func() {
				m.ledger.announce(id, applied)
				ledgerTime := time.Time{}.Add(ledgerZero + m.now)
				return func() {
					m.core.announced(r, sent, m.clock(), ledgerTime)
					m.core.acknowledged(applied)
					advance()
				}
			}, func() { end(errTimeout) })
		case stepDone:
			end(m.core.finish(r, m.clock()))
		}
	}
	advance()
}

type simError string

func (e simError) Error() string { return string(e) }

const errTimeout = simError("no answer")

// follow is Fence.follow.
func (m *machine) follow(over func(head uint64, err error)) {
	after := m.core.applied
	m.call(toLedger, simTimeout, func() func() {
		changes, head := m.ledger.changes(after, simPage), m.ledger.head()
		return func() {
			b, err := m.core.receive(after, changes, head)
			if err != nil {
				m.core.stumble()
				over(0, err)
				return
			}
			m.apply(b, func(err error) {
				if err != nil {
					m.core.stumble()
				}
				m.acknowledge()
				over(head, err)
			})
		}
	}, func() { over(0, errTimeout) })
}

// apply is Fence.apply.
func (m *machine) apply(b batch, over func(error)) {
	if b.catalogue == 0 {
		over(m.core.apply(b))
		return
	}
	m.loadCatalogue(func(err error) {
		if err == nil {
			err = m.core.apply(b)
		}
		over(err)
	})
}

// loadCatalogue is the server's Options.Catalogue under the fence's lock. It puts nothing in force when it is too late.
func (m *machine) loadCatalogue(over func(error)) {
	if m.loading {
		m.do(ms, func() { m.loadCatalogue(over) })
		return
	}
	m.loading = true
	ended := false
	end := func(err error) {
		ended, m.loading = true, false
		over(err)
	}
	m.call(toLedger, simTimeout, func() func() {
		campaign := m.ledger.read(0)
		return func() {
			m.do(m.upTo(20*ms), func() { // it takes a while to read
				if !ended {
					m.campaign = campaign
					end(nil)
				}
			})
		}
	}, func() {
		if !ended {
			end(errTimeout)
		}
	})
}

// acknowledge is Fence.acknowledge: one at a time.
func (m *machine) acknowledge() {
	applied, due := m.core.acknowledgement()
	if !due || m.acknowledges {
		return
	}
	m.acknowledges = true
	id := m.core.id
	m.call(toLedger, simTimeout, func() func() {
		m.ledger.acknowledge(id, applied)
		return func() {
			m.core.acknowledged(applied)
			m.acknowledges = false
			m.acknowledge()
		}
	}, func() { m.acknowledges = false })
}

// wake begins a wait on the ledger anew, as Fence.tail does each term; what comes in between is told by notify.
func (m *machine) wake() {
	m.do(simTerm, m.wake)
	if m.ledger.head() > m.core.applied {
		m.follow(func(uint64, error) {})
	}
}

// notify tells a process that there is something new, unless that gets lost, as it often does here.
func (m *machine) notify() {
	if m.chance(0.3) {
		return
	}
	process := m.process
	m.world.at(m.now+m.travel(), func() {
		if !m.lost(toLedger) && m.process == process && m.joined {
			m.do(0, func() { m.follow(func(uint64, error) {}) })
		}
	})
}

// keepHouse is Fence.keepHouse.
func (m *machine) keepHouse() {
	m.do(simTerm/4+m.upTo(simTerm/16), m.keepHouse)
	m.readNodes(func(silent []Node) {
		for _, n := range silent {
			m.call(toLedger, simTimeout, func() func() {
				m.ledger.lapse(n.ID, n.Announced)
				return func() {}
			}, func() {})
		}
	}, func() {})
}

// readNodes is Fence.readNodes.
func (m *machine) readNodes(over func(silent []Node), failed func()) {
	ceiling := m.core.asked
	m.call(toLedger, simTimeout, func() func() {
		nodes := m.ledger.nodes()
		return func() {
			silent := m.core.survey(nodes, ceiling, m.clock())
			m.lookAround()
			over(silent)
		}
	}, failed)
}

// settle is Fence.Settle.
func (m *machine) settle(position uint64, done func()) {
	w := &waiter{m.core.settle(position, m.clock()), done}
	m.waiting = append(m.waiting, w)
	m.lookAround()
	m.watchTheClock(w)
	if !m.polling && len(m.waiting) > 0 {
		m.polling = true
		m.poll()
	}
}

func (m *machine) watchTheClock(w *waiter) {
	if left := m.core.left(w.settling, m.clock()); left > 0 {
		m.do(min(left, simTerm), func() { m.watchTheClock(w) }) // what is left may become less
		return
	}
	m.lookAround()
}

func (m *machine) poll() {
	if m.polling = len(m.waiting) > 0; !m.polling {
		return
	}
	again := func() { m.do(3*ms, m.poll) }
	ended := false
	end := func() {
		if !ended {
			ended = true
			again()
		}
	}
	m.readNodes(func([]Node) { end() }, end)
}

// lookAround ends the waits that are over.
func (m *machine) lookAround() {
	var waiting []*waiter
	for _, w := range m.waiting {
		if m.core.left(w.settling, m.clock()) > 0 {
			waiting = append(waiting, w)
		} else {
			w.done()
		}
	}
	m.waiting = waiting
}
