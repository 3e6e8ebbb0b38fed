// Package bench measures a running Belpoort beside bare servers that do only what it cannot do without, in one interleaved
// run, and says how far apart they are. It knows load, clocks, histograms and the API as any client does. It must not know
// how the service is made or started: it gets connections, and tells through them what it needs.
package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Contestant is something that answers calls.
type Contestant struct {
	Name string
	// Call makes call n of this contestant over connection conn, and reports whether it was answered as it had to be.
	Call func(ctx context.Context, conn int, n uint64) error
	// CPU is the time that the answering process has had from the processors; nil where that cannot be known.
	CPU func() (time.Duration, error)
	// Baseline marks a server with which the others are compared.
	Baseline bool
	// Numbers is about how many numbers one call asks; 0 or 1: a single one. Lists are asked in closed loops only, and at most 16 at a time.
	Numbers int
}

// Load is how calls are offered: either Callers that each wait for the answer before the next call, or a Rate of calls a
// second that waits for nobody. The other is 0.
type Load struct {
	Callers int `json:"callers,omitempty"`
	Rate    int `json:"rate,omitempty"`
}

func (l Load) String() string {
	if l.Rate > 0 {
		return fmt.Sprintf("open loop, %d calls/s", l.Rate)
	}
	if l.Callers == 1 {
		return "closed loop, 1 caller"
	}
	return fmt.Sprintf("closed loop, %d callers", l.Callers)
}

// Limits of a Plan.
const (
	MaxCallers     = 10_000
	MaxRate        = 1_000_000
	MaxConnections = 256
	MaxRounds      = 1000
	maxInFlight    = 20_000
)

// Plan is what to measure. Every contestant meets every load in every round, but for lists.
type Plan struct {
	Loads       []Load
	Connections int           // per contestant; 1 to MaxConnections
	Rounds      int           // 1 to MaxRounds
	Duration    time.Duration // measured per contestant and load, over all rounds; 1 ms a round at least
	Timeout     time.Duration // of one call; above 0
	InFlight    int           // calls under way at most in an open loop; 0: 20,000
	Progress    func(round int)
}

// Check says what is wrong with a plan, naming the field.
func (p *Plan) Check() error {
	if len(p.Loads) == 0 {
		return errors.New("no load: want callers or a rate")
	}
	for _, l := range p.Loads {
		switch {
		case (l.Callers > 0) == (l.Rate > 0):
			return fmt.Errorf("load %+v: want callers or a rate, above 0", l)
		case l.Callers > MaxCallers:
			return fmt.Errorf("callers %d: want 1 to %d", l.Callers, MaxCallers)
		case l.Rate > MaxRate:
			return fmt.Errorf("rate %d: want 1 to %d", l.Rate, MaxRate)
		}
	}
	switch {
	case p.Connections < 1 || p.Connections > MaxConnections:
		return fmt.Errorf("connections %d: want 1 to %d", p.Connections, MaxConnections)
	case p.Rounds < 1 || p.Rounds > MaxRounds:
		return fmt.Errorf("rounds %d: want 1 to %d", p.Rounds, MaxRounds)
	case p.Duration/time.Duration(p.Rounds) < time.Millisecond:
		return fmt.Errorf("duration %v: want 1 ms a round at least", p.Duration)
	case p.Timeout <= 0:
		return fmt.Errorf("timeout %v: want more than 0", p.Timeout)
	case p.InFlight < 0:
		return fmt.Errorf("in flight %d: want 0 or more", p.InFlight)
	}
	return nil
}

// maxLeadIn bounds how long a contestant is called before it is measured, so that its connections and the scheduler are
// awake; a tenth of the time measured where that is less.
const maxLeadIn = 200 * time.Millisecond

// Run measures. Rounds alternate between the contestants, each round beginning with another one, so that whatever else the
// machine does meets all of them alike. It fails when the context ends; calls that fail are counted in the cells.
func Run(ctx context.Context, p Plan, contestants []Contestant) ([]Cell, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	runs := make([]*run, len(contestants))
	for i := range contestants {
		runs[i] = &run{plan: &p, contestant: &contestants[i], tallies: make([]tally, len(p.Loads))}
	}
	slice := p.Duration / time.Duration(p.Rounds)
	for round := range p.Rounds {
		if p.Progress != nil {
			p.Progress(round)
		}
		for l := range p.Loads {
			for turn := range runs {
				r := runs[(turn+round)%len(runs)]
				if !r.meets(l) {
					continue
				}
				if err := r.measure(ctx, l, slice); err != nil {
					return nil, err
				}
			}
		}
	}
	var cells []Cell
	for l := range p.Loads {
		for _, r := range runs {
			if r.meets(l) {
				cells = append(cells, r.cell(l))
			}
		}
	}
	return cells, nil
}

// meets tells whether a load is offered: a rate is one of single checks.
func (r *run) meets(l int) bool { return r.contestant.Numbers <= 1 || r.plan.Loads[l].Rate == 0 }
