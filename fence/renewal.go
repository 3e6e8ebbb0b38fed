package fence

import "time"

// step is what a renewal needs next from the ledger.
type step int

const (
	stepRead     step = iota // Changes after what is applied, then apply
	stepAnnounce             // Announce what is applied
	stepDone                 // finish
)

// renewal is one attempt at a lease.
type renewal struct {
	sent      time.Duration // when the announce was sent
	announced bool
	read      bool   // the changes were read since the announce was answered
	target    uint64 // the head that this reading showed: to be applied before the lease runs
}

// next is the order of things: a lease is safe only if the changes are read after the announce is in the ledger.
func (c *core) next(r *renewal) step {
	switch {
	case !r.announced && c.behind, mutantReadBeforeAnnounce && !r.read:
		return stepRead
	case !r.announced:
		return stepAnnounce
	case !r.read || c.applied < r.target:
		return stepRead
	default:
		return stepDone
	}
}

// announced takes in the answer to an announce that was sent then.
func (c *core) announced(r *renewal, sent, answered time.Duration, ledgerTime time.Time) {
	r.announced, r.sent = true, sent
	c.drift.add(sample{sent, answered, ledgerTime})
	if c.drift.exceeded && !mutantDriftIgnored {
		c.giveUpLease()
	}
}

// reads notes that a reading showed this head. It must have begun after the announce was answered, if that was.
func (r *renewal) reads(head uint64) {
	if (r.announced || mutantReadBeforeAnnounce) && !r.read {
		r.read, r.target = true, head
	}
}

// finish lets the lease run. It counts from the sending, whenever the answers came, and is never shortened.
func (c *core) finish(r *renewal, now time.Duration) error {
	switch {
	case c.closed:
		return errClosed
	case c.lost:
		return errRolledBack
	case c.drift.exceeded && !mutantDriftIgnored:
		return errDrift
	case !c.drift.proved && !mutantDriftIgnored:
		return errUnmeasured
	}
	from := r.sent
	if mutantFromReply {
		from = now
	}
	if now-from >= c.rules.term {
		return errLate
	}
	c.lease.Store(max(c.lease.Load(), int64(from+c.rules.term)))
	return nil
}
