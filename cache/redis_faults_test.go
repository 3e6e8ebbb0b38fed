package cache

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belpoort/belpoort/rig"
)

// lookers look all the time from eight goroutines while something happens to Redis. No record below its floor may be
// found, and no Look may take longer than a few Timeouts, and what else keeps this machine busy.
func lookers(t *testing.T, s *Redis[*note], during func()) {
	t.Helper()
	var stop atomic.Bool
	var worst, late atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		for !stop.Load() {
			began := time.Now()
			time.Sleep(time.Millisecond)
			late.Store(max(late.Load(), int64(time.Since(began))))
		}
	})
	for n := range uint64(8) {
		all.Go(func() {
			callee, position := token(1000+n), uint64(1)
			for ; !stop.Load(); position++ {
				s.Put(ctx, fresh(callee, position))
				if position%10 == 0 {
					s.Raise(callee, position)
				}
				began := time.Now()
				found := s.Look(ctx, callee, Hold{})
				worst.Store(max(worst.Load(), int64(time.Since(began))))
				if found.Found && found.Record.position < position/10*10 {
					t.Errorf("found position %d, the floor is %d", found.Record.position, position/10*10)
				}
				time.Sleep(500 * time.Microsecond)
			}
		})
	}
	during()
	stop.Store(true)
	all.Wait()
	slowest, busy := time.Duration(worst.Load()), time.Duration(late.Load())
	if slowest > 3*s.timeout+5*busy {
		t.Errorf("a Look took %v, the timeout is %v; a sleep of a millisecond %v", slowest, s.timeout, busy)
	}
}

// atOnce bounds what Looks cost while Redis is away: hardly any is sent to it and waits.
func atOnce(t *testing.T, s *Redis[*note]) {
	t.Helper()
	eventually(t, "away", func() bool { s.Look(ctx, anna, Hold{}); return s.away() })
	asked := func() uint64 { st := s.Stats(); return st.Timeouts + st.Failed }
	before := asked()
	for n := range 1000 {
		if s.Look(ctx, anna, Hold{}).Found {
			t.Fatal("found where nobody answers")
		}
		if more := asked() - before; more > 20 {
			t.Fatalf("%d of %d Looks asked: %+v", more, n+1, s.Stats())
		}
	}
}

// backWithin holds the time until Redis is used again to two seconds.
func backWithin(t *testing.T, s *Redis[*note], happens func()) {
	t.Helper()
	happens()
	began := time.Now()
	serving(t, s)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("used again after %v", took)
	} else {
		t.Logf("used again after %v", took)
	}
}

func faultOptions(url string) RedisOptions[*note] {
	o := redisOptions(url)
	o.Timeout = 100 * time.Millisecond
	return o
}

// TestRedisComesAndGoes: killed, restarted empty, flushed, rolled back, and all the while the floors hold. Mutants:
// mutant_cache_redis_patient, mutant_cache_redis_no_floor.
func TestRedisComesAndGoes(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	s := openRedis(t, faultOptions(singleURL(r)))
	old := fresh(anna, 10)
	put(t, s, old)
	wantGet(t, s, anna, old)
	r.Dump()
	s.Raise(anna, 11)
	newer := fresh(anna, 11)
	put(t, s, newer)
	wantGet(t, s, anna, newer)

	lookers(t, s, func() {
		r.Kill()
		atOnce(t, s)
		backWithin(t, s, r.Start)
	})
	wantGet(t, s, anna, nil) // the dump's record lies below the floor
	if s.Stats().BelowFloor == 0 {
		t.Errorf("the old record was not seen: %+v", s.Stats())
	}
	lookers(t, s, func() {
		r.Do("FLUSHALL")
		s.watch.poke()
		eventually(t, "marked again", func() bool { return r.Do("EXISTS", deploymentKey) == int64(1) })
	})
	put(t, s, newer)
	r.ForgetDump()
	backWithin(t, s, r.Restart)
	wantGet(t, s, anna, nil)
	put(t, s, newer)
	wantGet(t, s, anna, newer)
}

// TestRedisHangs: Redis accepts and never answers. No other test runs meanwhile, so that goroutines can be counted.
// Mutant: mutant_cache_redis_patient.
func TestRedisHangs(t *testing.T) {
	r := rig.StartRedis(t, rig.RedisOptions{})
	var told errorsTold
	o := faultOptions(singleURL(r))
	o.OnError = told.tell
	s := openRedis(t, o)
	n := fresh(anna, 10)
	put(t, s, n)
	r.Pause()
	goroutines := runtime.NumGoroutine()
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() { s.Look(ctx, anna, Hold{}) })
	}
	all.Wait()
	if st := s.Stats(); st.Timeouts == 0 {
		t.Errorf("stats: %+v", st)
	}
	atOnce(t, s)
	if n := runtime.NumGoroutine(); n > goroutines+10 {
		t.Errorf("%d goroutines, before %d", n, goroutines)
	}
	eventually(t, "told", func() bool { return told.String() != "[]" })
	wantFree(t, s, anna, keep(1), true) // the process's own holds stand alone
	wantFree(t, s, anna, keep(2), false)
	if s.Put(ctx, fresh(bram, 1)) {
		t.Error("a record was taken on that nobody will take")
	}
	backWithin(t, s, r.Resume)
	wantGet(t, s, anna, n)
	eventually(t, "told", func() bool { return strings.HasSuffix(told.String(), "<nil>]") })
}

// TestRedisIsSlow: answers come, but later than a Look waits.
func TestRedisIsSlow(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	p := rig.StartProxy(t, r.Address())
	s := openRedis(t, faultOptions("redis://"+p.Address()))
	n := fresh(anna, 10)
	put(t, s, n)
	lookers(t, s, func() {
		p.Delay(s.timeout)
		atOnce(t, s)
		time.Sleep(3 * s.timeout)
		atOnce(t, s)
		if c := p.Connections(); c > 2*defaultReaders+writers+4 {
			t.Errorf("%d connections", c)
		}
		backWithin(t, s, p.Heal)
	})
	wantGet(t, s, anna, n)
	lookers(t, s, func() {
		p.Cut()
		atOnce(t, s)
		backWithin(t, s, p.Heal)
	})
	wantGet(t, s, anna, n)
}

// TestRedisIsLate: one that does not answer at first is used, and checked, when it does.
func TestRedisIsLate(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	r.Kill()
	var told errorsTold
	o := faultOptions(singleURL(r))
	o.OnError = told.tell
	s := openAnyhow(t, o)
	if err := s.Health(); err == nil || errors.Is(err, errAway) || errors.Is(err, ErrRefused) || !strings.Contains(told.String(), r.Address()) {
		t.Errorf("health %v, told %v", err, &told)
	}
	wantGet(t, s, anna, nil)
	atOnce(t, s)
	backWithin(t, s, r.Start)
	put(t, s, fresh(anna, 10))

	r.Do("SET", deploymentKey, "somebody else's")
	s.watch.poke()
	eventually(t, "refused", func() bool { return errors.Is(s.Health(), ErrRefused) })
	atOnce(t, s)
	if strings.Contains(told.String(), "somebody else's") {
		t.Errorf("the other deployment's mark is told: %v", &told)
	}
	r.Do("SET", deploymentKey, o.Deployment)
	serving(t, s)
}

// TestQueueIsBounded: what cannot be written is dropped and counted, and nobody waits.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	o := faultOptions(singleURL(r))
	o.Queue = 8
	s := openRedis(t, o)
	r.Pause()
	took := uint64(0)
	for n := range uint64(2000) {
		if s.Put(ctx, fresh(token(n), 1)) {
			took++
		}
	}
	if most := uint64(o.Queue + writers*maxBatch); took > most {
		t.Errorf("%d records were taken on, the queue holds %d", took, o.Queue)
	}
	settle(t, s)
	if st := s.Stats(); st.Unwritten != 2000 || st.Written != 0 {
		t.Errorf("stats: %+v", st)
	}
	r.Resume()
}
