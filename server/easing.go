package server

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// easing keeps loads, which are facts by the hundred, from taking the processors and the disk from checks: while checks come,
// one load at a time is worked on, with a rest after it. Where nobody is called, nothing rests.
type easing struct {
	room chan struct{} // for the loads under way: checks that come after a pause meet what these have begun
	turn chan struct{} // for the one that is worked on while checks come
	came atomic.Int64  // checks

	mu    sync.Mutex
	since time.Time // of the count below
	count int64
	rate  float64 // checks a second
}

const (
	// easeFrom is from how many facts on a message is a load.
	easeFrom = 33
	// loadsAtOnce is how many loads are worked on at once where no checks come.
	loadsAtOnce = 4
	// restOf is how long a load rests for each time that it worked, on one processor; on more that much less.
	restOf = 8
	// restAt is how many checks a second it takes to rest that long; beside fewer, it is less.
	restAt = 400
	// fewest is how many checks a second it takes for loads to take turns.
	fewest = .2
	// longestRest bounds a rest: a load must not seem to be lost.
	longestRest = 500 * time.Millisecond
	// rateEvery is how often the checks are counted.
	rateEvery = 200 * time.Millisecond
	// rateLasts is how long it takes until most of a rate is forgotten: dialers pause, and go on.
	rateLasts = 3 * time.Second
)

func newEasing() *easing {
	return &easing{room: make(chan struct{}, loadsAtOnce), turn: make(chan struct{}, 1), since: time.Now()}
}

// rest is how long a load rests for each time that it worked: 0 where no checks come.
func (e *easing) rest() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if elapsed := time.Since(e.since); elapsed >= rateEvery {
		came := e.came.Load()
		e.rate = max(float64(came-e.count)/elapsed.Seconds(), e.rate*math.Exp(-elapsed.Seconds()/rateLasts.Seconds()))
		e.since, e.count = time.Now(), came
	}
	if e.rate < fewest {
		return 0
	}
	return min(1, e.rate/restAt) * restOf / processors()
}

// processors is how many share the work.
func processors() float64 { return float64(runtime.GOMAXPROCS(0)) }

// work does a load of so many facts when it is its turn. It is answered before the rest.
func (e *easing) work(ctx context.Context, facts int, do func() error) error {
	if facts < easeFrom || mutantLoadsFirst {
		return do()
	}
	select {
	case e.room <- struct{}{}:
		defer func() { <-e.room }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if e.rest() == 0 {
		return do()
	}
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	defer func() {
		worked := time.Since(began)
		time.AfterFunc(min(time.Duration(e.rest()*float64(worked)), longestRest), func() { <-e.turn })
	}()
	return do()
}
