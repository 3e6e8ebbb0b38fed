package fence

import "time"

// sample is one reading of the ledger's clock, taken somewhere between sent and answered on this machine's.
type sample struct {
	sent, answered time.Duration
	ledger         time.Time
}

const (
	// samplesKept at four renewals a term reach 64 terms back: long enough to prove the bound over slow round trips.
	samplesKept = 256
	// proofTerms is how many terms a proof is good for.
	proofTerms = 32
)

// driftMeter compares the rate of this machine's clock with the ledger's. Since a sample's instant is uncertain by its
// round trip, two samples give a range of rates: within the bound is proof, beside it is excess, and else nothing follows.
type driftMeter struct {
	bound   float64
	stretch time.Duration // a clock that was off must be good for so long

	kept [samplesKept]sample // a ring; next is where the oldest is or will be
	next int
	used int

	newest   time.Time
	proved   bool // good within the bound, shown lately
	exceeded bool // off, and no clean stretch since
	provedAt time.Duration
	estimate float64 // middle of the narrowest range at the last sample
}

// add takes a sample in and compares it with all that are kept.
func (d *driftMeter) add(s sample) {
	narrowest := -1.0
	proof := false
	for i := range d.used {
		low, high, ok := rates(&d.kept[i], &s)
		switch {
		case !ok:
			continue
		case low > 1+d.bound || high < 1-d.bound:
			d.exceed(s, (low+high)/2-1)
			return
		}
		if narrowest < 0 || high-low < narrowest {
			narrowest, d.estimate = high-low, (low+high)/2-1
		}
		clean := !d.exceeded || s.sent-d.kept[i].answered >= d.stretch
		proof = proof || clean && low >= 1-d.bound && high <= 1+d.bound
	}
	d.keep(s)
	if proof {
		d.proved, d.exceeded, d.provedAt = true, false, s.answered
	} else if s.answered-d.provedAt > proofTerms*d.stretch {
		d.proved = false
	}
}

// rates bounds this clock's rate by the ledger's between two samples. It has nothing to say when they overlap.
func rates(a, b *sample) (low, high float64, ok bool) {
	least, most := b.sent-a.answered, b.answered-a.sent
	if least <= 0 {
		return 0, 0, false
	}
	elapsed := float64(b.ledger.Sub(a.ledger))
	if elapsed <= 0 {
		elapsed = 1 // the ledger's clock stood still or went back: as if ours were too fast by far
	}
	return float64(least) / elapsed, float64(most) / elapsed, true
}

// exceed forgets everything but the newest sample: what is proved from now on has not the excess in it.
func (d *driftMeter) exceed(s sample, estimate float64) {
	d.proved, d.exceeded, d.estimate = false, true, estimate
	d.used, d.next = 0, 0
	d.keep(s)
}

func (d *driftMeter) keep(s sample) {
	d.newest = s.ledger
	d.kept[d.next] = s
	d.next = (d.next + 1) % samplesKept
	d.used = min(d.used+1, samplesKept)
}
