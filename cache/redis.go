package cache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/belpoort/belpoort/eligibility"
)

// RedisOptions say which Redis, and how it is spoken to. Fields without a default must be given.
type RedisOptions[R Record] struct {
	// URL names the servers, and the user. Whatever is not a letter or digit in a name or password may be written %XX, and
	// one of "@/?#%" must be. With rediss in place of redis the connections are TLS.
	//
	//	redis://[user[:password]@]host[:6379][/database]
	//	redis+cluster://[user[:password]@]host[:6379],host[:6379],...
	//	redis+sentinel://[user[:password]@]host[:26379],.../master-name[?db=N&sentinel-user=U&sentinel-password=P]
	URL string

	Deployment string // 1 to 128 bytes that tell this deployment from others, and nothing secret: kept in Redis in the clear
	Sealer     Sealer
	Codec      Codec[R]
	Floors     Floors

	// Expiry tells how long a record may be kept in Redis from now, when that is less than MaxAge. Zero and less: not at
	// all. Optional.
	Expiry func(R) time.Duration

	TLS     *tls.Config      // for rediss; default the system's authorities and the host's name
	MaxAge  time.Duration    // as in Options
	Clock   func() time.Time // as in Options
	Timeout time.Duration    // the longest a Look waits for Redis; 500 us to 1 s, default 5 ms
	Readers int              // connections that Looks share, per Redis or per sixteenth of a Cluster; 1 to 64, default 2
	Queue   int              // records and releases waiting to be written; 1 to 1,000,000, default 4096

	// OnError is told, by OpenRedis or a goroutine of the store's, why Redis is not used, or nil when it is again. It is
	// told changes only, and must not call the store. Optional.
	OnError func(error)
}

const (
	defaultTimeout = 5 * time.Millisecond
	defaultReaders = 2
	defaultQueue   = 4096
	maxDeployment  = 128
)

// Check tells which field is missing or out of range.
func (o RedisOptions[R]) Check() error {
	if _, err := parseRedisURL(o.URL); err != nil {
		return err
	}
	o = o.withDefaults()
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
	}
	switch {
	case len(o.Deployment) == 0 || len(o.Deployment) > maxDeployment:
		return bad("Deployment has %d bytes, want 1 to %d", len(o.Deployment), maxDeployment)
	case o.Sealer == nil || o.Codec == nil || o.Floors == nil:
		return bad("Sealer, Codec and Floors must be given")
	case o.Timeout < 500*time.Microsecond || o.Timeout > time.Second:
		return bad("Timeout is %v, want 500us to 1s", o.Timeout)
	case o.Readers < 1 || o.Readers > 64:
		return bad("Readers is %d, want 1 to 64", o.Readers)
	case o.Queue < 1 || o.Queue > 1_000_000:
		return bad("Queue is %d, want 1 to 1000000", o.Queue)
	}
	return Options{MaxAge: o.MaxAge, Clock: o.Clock}.Check()
}

func (o RedisOptions[R]) withDefaults() RedisOptions[R] {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Readers == 0 {
		o.Readers = defaultReaders
	}
	if o.Queue == 0 {
		o.Queue = defaultQueue
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	return o
}

// Redis is a Store that shares records and holds between processes through a Redis 7.0 or Valkey 8. Redis is not
// trusted: a record is believed only if its seal opens for the callee, and the process's own floors do not overrule it.
//
// A Redis that is away, hung, flushed, rolled back or failed over costs hits and shared holds, never truth. While it does
// not answer, Looks miss without asking it, the process's own holds stand alone, and it is tried again in the background.
type Redis[R Record] struct {
	framing[R]
	address  redisAddress
	timeout  time.Duration
	holds    holds
	attempts attempts
	counts   redisCounts

	hot        redis.UniversalClient // Looks, and nothing else
	background redis.UniversalClient
	lanes      []*lane
	writes     *writer[R]
	watch      *watch

	stop func()
	work sync.WaitGroup
}

// redisCounts are the Stats that Looks and Puts count.
type redisCounts struct {
	hits, misses, declined, timeouts, away, failed      atomic.Uint64
	badSeal, wrongCallee, belowFloor, tooOld, malformed atomic.Uint64
}

// OpenRedis opens the store. A Redis that answers but must not be used (ErrRefused) is an error that says what to do. One
// that does not answer is not: it is reported to OnError, and used once it answers and has passed the same checks.
// ctx bounds the first try.
func OpenRedis[R Record](ctx context.Context, o RedisOptions[R]) (*Redis[R], error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	address, _ := parseRedisURL(o.URL)
	silence.Do(func() { redis.SetLogger(silent{}) })
	s := &Redis[R]{
		framing: framing[R]{Options{MaxAge: o.MaxAge, Clock: o.Clock}.withDefaults(), o.Sealer, o.Codec, o.Floors},
		address: address,
		timeout: o.Timeout,
	}
	s.holds.init()
	s.attempts.init(s.opts.Clock)
	s.hot = address.client(o.TLS)
	s.background = address.client(o.TLS)
	s.watch = newWatch(checks{s.background, address, o.Deployment}, o.OnError)
	if err := s.watch.begin(ctx); err != nil {
		return nil, errors.Join(err, s.hot.Close(), s.background.Close())
	}
	s.begin(o)
	s.awaitReaders(ctx)
	return s, nil
}

// awaitReaders waits until every lane of a Redis that has passed the checks is served, for a moment at most.
func (s *Redis[R]) awaitReaders(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, l := range s.lanes {
		for s.watch.admitted.Load() && l.ready.Load() == 0 && ctx.Err() == nil {
			time.Sleep(200 * time.Microsecond)
		}
	}
}

// begin starts what runs until Close.
func (s *Redis[R]) begin(o RedisOptions[R]) {
	alive, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.work.Go(func() { s.watch.run(alive) })
	s.lanes = newLanes(s.address.kind, s.hot, s.timeout)
	for _, l := range s.lanes {
		for range o.Readers {
			r := &reader{lane: l, watch: s.watch}
			s.work.Go(func() { r.run(alive) })
		}
	}
	s.writes = newWriter(s, o)
	for range writers {
		s.work.Go(func() { s.writes.run(alive) })
	}
}

// Close stops the store; what waits to be written is lost. No other method may be called after it.
func (s *Redis[R]) Close() error {
	s.stop()
	s.work.Wait()
	return errors.Join(s.hot.Close(), s.background.Close())
}

// Health is nil while Redis is used, else why not.
func (s *Redis[R]) Health() error {
	if err := s.watch.health(); err != nil {
		return err
	}
	if s.away() {
		return errAway
	}
	return nil
}

// Look implements Store. It takes one round trip, which many Looks share. It waits for Redis at most Timeout, and not
// beyond ctx.
func (s *Redis[R]) Look(ctx context.Context, callee eligibility.CalleeToken, hold Hold) Found[R] {
	found := Found[R]{Free: s.holds.take(callee, hold), Attempts: s.attempts.of(callee, AttemptAge)}
	if callee.IsZero() {
		s.counts.misses.Add(1)
		return found
	}
	if !found.Free {
		hold = Hold{} // a call that this process has refused asks nobody else
	}
	a := takeAsk(callee, hold)
	if err := s.ask(ctx, a); err != nil {
		s.missed(err)
		return found
	}
	if hold.asks() && !s.shared(a) {
		found.Free = false
		s.holds.release(callee, hold.ID)
	}
	found.Record, found.Found = s.judge(a)
	if a.listErr == nil {
		found.Attempts = s.sharedAttempts(callee, a.listed)
	}
	a.giveBack()
	return found
}

// ask sends the question and waits. On an error the ask is not ours any more.
func (s *Redis[R]) ask(ctx context.Context, a *ask) error {
	l := s.lanes[0]
	if len(s.lanes) > 1 {
		l = s.lanes[slotOf(a.tag())*len(s.lanes)/slotCount]
	}
	if !s.watch.admitted.Load() || l.ready.Load() == 0 && !mutantCacheRedisPatient {
		return errAway
	}
	a.sent = s.holds.now()
	return l.ask(ctx, a)
}

// away tells that nobody answers.
func (s *Redis[R]) away() bool {
	if !s.watch.admitted.Load() {
		return true
	}
	for _, l := range s.lanes {
		if l.ready.Load() > 0 {
			return false
		}
	}
	return true
}

func (s *Redis[R]) missed(err error) {
	s.counts.misses.Add(1)
	switch {
	case errors.Is(err, errAway):
		s.counts.away.Add(1)
	case errors.Is(err, errSlow), os.IsTimeout(err), errors.Is(err, context.DeadlineExceeded):
		s.counts.timeouts.Add(1)
	default:
		s.counts.failed.Add(1)
	}
}

// shared tells whether Redis gave the hold too. A Redis that failed to say leaves it at the process's own hold.
func (s *Redis[R]) shared(a *ask) bool {
	switch {
	case a.holdErr != nil:
		return true
	case a.holder == "":
		s.holds.share(a.callee, a.hold.ID, a.sent)
		return true
	}
	return a.holder == string(a.hold.ID[:])
}

// judge counts what the answer is worth.
func (s *Redis[R]) judge(a *ask) (record R, found bool) {
	if a.err != nil {
		s.missed(a.err)
		return record, false
	}
	if a.value == nil {
		s.counts.misses.Add(1)
		return record, false
	}
	record, err := s.believe(a.callee, a.value)
	switch err {
	case nil:
		s.counts.hits.Add(1)
	case errWrongCallee:
		s.counts.wrongCallee.Add(1)
	case errBelowFloor:
		s.counts.belowFloor.Add(1)
	case errTooOld:
		s.counts.tooOld.Add(1)
	case errMalformed:
		s.counts.malformed.Add(1)
	default:
		s.counts.badSeal.Add(1)
	}
	return record, err == nil
}

// Release implements Store. In Redis the hold is deleted only while it must still be this call's: less than half of it
// has passed since it was asked for. Should Redis stand still for the other half with the deletion already received,
// it may delete the next call's hold.
func (s *Redis[R]) Release(callee eligibility.CalleeToken, id [16]byte) {
	if was, found := s.holds.release(callee, id); found && was.shared > 0 {
		s.writes.offer(write[R]{callee: callee, asked: was.shared, half: (was.until - was.began) / 2})
	}
}

// Put implements Store.
func (s *Redis[R]) Put(_ context.Context, record R) bool {
	callee := record.CalleeToken()
	if callee.IsZero() || !s.floors.Current(callee, record.LedgerPosition()) || s.writes.lifetime(record) <= 0 {
		s.counts.declined.Add(1)
		return false
	}
	return s.writes.offer(write[R]{callee: callee, record: record, put: true})
}

// Raise implements Store.
func (s *Redis[R]) Raise(callee eligibility.CalleeToken, position uint64) {
	s.floors.Raise(callee, position)
}

// Current implements Store.
func (s *Redis[R]) Current(callee eligibility.CalleeToken, position uint64) bool {
	return s.floors.Current(callee, position)
}

// Stats implements Store.
func (s *Redis[R]) Stats() Stats {
	c := &s.counts
	sum := Stats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Declined: c.declined.Load(),
		Timeouts: c.timeouts.Load(), Away: c.away.Load(), Failed: c.failed.Load(),
		BadSeal: c.badSeal.Load(), WrongCallee: c.wrongCallee.Load(), BelowFloor: c.belowFloor.Load(),
		TooOld: c.tooOld.Load(), Malformed: c.malformed.Load(),
		Written: s.writes.written.Load(), Unwritten: s.writes.unwritten.Load(),
	}
	sum.Stale = sum.BadSeal + sum.WrongCallee + sum.BelowFloor + sum.TooOld + sum.Malformed
	s.holds.addTo(&sum)
	return sum
}
