package ops

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// LiveSeconds is how far back the last minutes go.
const LiveSeconds = 15 * 60

// The range of a duration in the last minutes: what is shorter or longer counts as the end it is beyond.
const (
	shortest = time.Microsecond
	longest  = 100 * time.Second
)

// Live is the last quarter of an hour, second by second, kept in this process so that a person can look at it without any
// other program.
type Live struct {
	words Words

	checks   spread
	stages   [stages]spread
	effects  spread
	fsyncs   spread
	verdicts []atomic.Uint32
	reasons  []atomic.Uint32
	failed   atomic.Uint32

	mu      sync.Mutex
	ring    [LiveSeconds]Second
	count   int           // seconds kept, ever
	turned  chan struct{} // closed at each second
	watched []watched
}

// watched is a figure that is looked at once a second.
type watched struct {
	name  string
	value func() float64
}

// Second is what happened in one second. Durations are in microseconds; a Spread without a count has none.
type Second struct {
	At       int64              `json:"at"` // Unix seconds of its end
	Checks   Spread             `json:"checks"`
	Stages   map[string]Spread  `json:"stages"`
	Effects  Spread             `json:"effects"` // objections, from arrival to effect
	Fsyncs   Spread             `json:"fsyncs"`
	Verdicts map[string]uint32  `json:"verdicts"` // those that occurred
	Reasons  map[string]uint32  `json:"reasons"`
	Failed   uint32             `json:"failed"` // checks answered with an error
	Figures  map[string]float64 `json:"figures"`
}

// Spread is how durations were spread over one second.
type Spread struct {
	Count int64 `json:"n"`
	P50   int64 `json:"p50"`
	P90   int64 `json:"p90"`
	P99   int64 `json:"p99"`
	Max   int64 `json:"max"`
}

func newLive(words Words) *Live {
	l := &Live{
		words: words, verdicts: make([]atomic.Uint32, len(words.Verdicts)), reasons: make([]atomic.Uint32, len(words.Reasons)),
		turned: make(chan struct{}),
	}
	for _, s := range l.spreads() {
		s.open = hdrhistogram.New(int64(shortest/time.Microsecond), int64(longest/time.Microsecond), 2)
	}
	return l
}

func (l *Live) spreads() []*spread {
	all := []*spread{&l.checks, &l.effects, &l.fsyncs}
	for i := range l.stages {
		all = append(all, &l.stages[i])
	}
	return all
}

// Live is this process's last minutes. They stand still until its Run is called.
func (m *Metrics) Live() *Live { return m.live }

// Watch looks at a figure once a second, before Run.
func (l *Live) Watch(name string, value func() float64) {
	l.watched = append(l.watched, watched{name, value})
}

// Run ends a second every second until ctx ends.
func (l *Live) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			l.turn(now)
		}
	}
}

func (l *Live) turn(now time.Time) {
	s := Second{
		At: now.Unix(), Checks: l.checks.turn(), Effects: l.effects.turn(), Fsyncs: l.fsyncs.turn(), Failed: l.failed.Swap(0),
		Stages: map[string]Spread{}, Verdicts: taken(l.verdicts, l.words.Verdicts), Reasons: taken(l.reasons, l.words.Reasons),
		Figures: map[string]float64{},
	}
	for i, name := range stageNames {
		if part := l.stages[i].turn(); part.Count > 0 {
			s.Stages[name] = part
		}
	}
	for _, w := range l.watched {
		s.Figures[w.name] = w.value()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring[l.count%LiveSeconds] = s
	l.count++
	close(l.turned)
	l.turned = make(chan struct{})
}

// taken empties counters into the words that they count.
func taken(counters []atomic.Uint32, words []string) map[string]uint32 {
	counts := map[string]uint32{}
	for i := range counters {
		if n := counters[i].Swap(0); n > 0 {
			counts[orUnnamed(words[i])] += n
		}
	}
	return counts
}

// Since gives the seconds that were kept after the first `after` ones, oldest first, how many were kept in all, and a channel
// that is closed when there is another.
func (l *Live) Since(after int) (seconds []Second, count int, next <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := max(after, l.count-LiveSeconds, 0); i < l.count; i++ {
		seconds = append(seconds, l.ring[i%LiveSeconds])
	}
	return seconds, l.count, l.turned
}

func (l *Live) decided(d *Decided) {
	l.checks.observe(d.Took)
	l.verdicts[d.Verdict].Add(1)
	l.reasons[d.Reason].Add(1)
}

// spread gathers the durations of the present second.
type spread struct {
	mu   sync.Mutex
	open *hdrhistogram.Histogram
}

func (s *spread) observe(d time.Duration) {
	us := int64(min(max(d, shortest), longest) / time.Microsecond)
	s.mu.Lock()
	_ = s.open.RecordValue(us) // it is in range
	s.mu.Unlock()
}

func (s *spread) turn() Spread {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.open.TotalCount()
	if n == 0 {
		return Spread{}
	}
	at := s.open.ValueAtPercentiles([]float64{50, 90, 99})
	done := Spread{Count: n, P50: at[50], P90: at[90], P99: at[99], Max: s.open.Max()}
	s.open.Reset()
	return done
}
