package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms keep three digits of every latency from 100 ns to a minute; what took longer counts as a minute.
const (
	shortest = 100 * time.Nanosecond
	longest  = time.Minute
	digits   = 3
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(shortest), int64(longest), digits)
}

func note(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(int64(min(max(d, 0), longest))) // within its range it cannot fail
}

// recording is what the callers of one slice see. It is divided so that they do not wait for each other.
type recording struct{ parts [4]recordingPart }

type recordingPart struct {
	mu       sync.Mutex
	latency  *hdrhistogram.Histogram // of all calls, the failed ones too
	lateness *hdrhistogram.Histogram // how long after its due moment a call was sent; nil in a closed loop
	errors   uint64
	failures map[string]uint64 // some of them
}

func newRecording() *recording {
	log := &recording{}
	for i := range log.parts {
		log.parts[i].latency, log.parts[i].failures = newHistogram(), map[string]uint64{}
	}
	return log
}

func (log *recording) took(caller int, d time.Duration, err error) {
	p := &log.parts[caller%len(log.parts)]
	p.mu.Lock()
	defer p.mu.Unlock()
	note(p.latency, d)
	if err != nil {
		p.errors++
		name(p.failures, err.Error(), 1)
	}
}

func (log *recording) late(caller int, d time.Duration) {
	p := &log.parts[caller%len(log.parts)]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lateness == nil {
		p.lateness = newHistogram()
	}
	note(p.lateness, d)
}

// tally is what became of one contestant under one load, over all rounds. The zero value is ready.
type tally struct {
	latency, lateness *hdrhistogram.Histogram
	failures          map[string]uint64
	errors            uint64
	seconds           float64
	rest              time.Duration
	cpu               time.Duration
	cpuKnown          bool
	made              uint64    // calls that the CPU time was for: those of the lead-in too
	rounds            []float64 // calls/s of each
}

// outcome is what one slice came to, besides what its callers saw.
type outcome struct {
	took     time.Duration // from the first call that counts to the last answer
	rest     time.Duration // from there until the contestant was at rest
	cpu      time.Duration
	cpuKnown bool
	made     uint64
}

func (t *tally) add(log *recording, o outcome) {
	if t.latency == nil {
		t.latency, t.lateness, t.failures = newHistogram(), newHistogram(), map[string]uint64{}
	}
	var calls, errors uint64
	for i := range log.parts {
		p := &log.parts[i]
		calls += uint64(p.latency.TotalCount())
		t.latency.Merge(p.latency)
		if p.lateness != nil {
			t.lateness.Merge(p.lateness)
		}
		errors += p.errors
		for failure, n := range p.failures {
			name(t.failures, failure, n)
		}
	}
	t.errors += errors
	t.seconds += o.took.Seconds()
	t.rest += o.rest
	t.cpu += o.cpu
	t.cpuKnown = o.cpuKnown
	t.made += o.made
	t.rounds = append(t.rounds, float64(calls-errors)/o.took.Seconds())
}

// maxFailures bounds how many kinds of failure a cell names.
const maxFailures = 10

func name(failures map[string]uint64, failure string, n uint64) {
	if _, known := failures[failure]; known || len(failures) < maxFailures {
		failures[failure] += n
	}
}
