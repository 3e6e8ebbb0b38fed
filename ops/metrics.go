// Package ops is what the people who run Belpoort look at: metrics, and the pages that say whether it lives and serves.
// It is told what to show and knows neither the law nor the stores; no label or value here ever names a callee.
package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Words are the names of numbered words, by number; "" where a number has none.
type Words struct {
	Verdicts []string
	Reasons  []string
}

// Build says what is running.
type Build struct {
	Version, GoVersion, LawVersion string
}

// Stage is a part of a check whose duration is measured.
type Stage int

// The stages of a check.
const (
	StageCache Stage = iota
	StageLedger
	StageDecide
	StageJournal
	stages
)

var stageNames = [stages]string{"cache", "ledger", "decide", "journal"}

// latencyBuckets run from 50 microseconds to 2.5 seconds; dialers wait 20 to 50 milliseconds.
var latencyBuckets = []float64{
	.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .02, .05, .1, .25, 1, 2.5,
}

// Metrics are this process's figures. What happens in every check is bound in advance and allocates nothing.
type Metrics struct {
	registry  *prometheus.Registry
	checks    []prometheus.Counter // by verdict
	latencies []prometheus.Observer
	reasons   []prometheus.Counter
	stages    [stages]prometheus.Observer
	hits      prometheus.Counter
	misses    prometheus.Counter
	repeats   prometheus.Counter
	unleased  prometheus.Counter
	sheds     prometheus.Counter
	settles   prometheus.Observer
	panics    prometheus.Counter
	appends   *prometheus.CounterVec
	requests  *prometheus.CounterVec
	reloads   *prometheus.CounterVec
}

// New makes the figures, all at zero.
func New(words Words, build Build) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.bindChecks(words)
	cache := m.counters("belpoort_cache_lookups_total", "Look-ups of eligibility records, by result.", "result")
	m.hits, m.misses = cache.WithLabelValues("hit"), cache.WithLabelValues("miss")
	m.repeats = m.counter("belpoort_checks_repeated_total",
		"Checks decided again because a newer fact about the callee came in while they were under way.")
	m.unleased = m.counter("belpoort_checks_without_lease_total", "Checks that had to ask the ledger itself because this node held no lease.")
	m.sheds = m.counter("belpoort_checks_shed_total", "Checks refused because too many were under way.")
	m.settles = m.histogram("belpoort_settle_duration_seconds", "Time until every node had taken in a fact that the ledger had recorded.")
	m.panics = m.counter("belpoort_panics_total", "Panics in handlers, answered INTERNAL.")
	m.appends = m.counters("belpoort_ledger_facts_total", "Facts handed to the ledger, by result.", "result")
	m.requests = m.counters("belpoort_requests_total", "Requests answered, by method and status code.", "method", "code")
	m.reloads = m.counters("belpoort_file_reloads_total", "Files read again because they changed, by file and result.", "file", "result")
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belpoort_build_info", Help: "What is running; always 1.",
	}, []string{"version", "go_version", "law_version"})
	m.registry.MustRegister(info)
	info.WithLabelValues(build.Version, build.GoVersion, build.LawVersion).Set(1)
	return m
}

func (m *Metrics) bindChecks(words Words) {
	checks := m.counters("belpoort_checks_total", "Calls decided, by verdict.", "verdict")
	latencies := m.histograms("belpoort_check_duration_seconds", "Time from a check's arrival to its answer, by verdict.", "verdict")
	for _, v := range words.Verdicts {
		m.checks = append(m.checks, checks.WithLabelValues(orUnnamed(v)))
		m.latencies = append(m.latencies, latencies.WithLabelValues(orUnnamed(v)))
	}
	reasons := m.counters("belpoort_check_reasons_total", "Calls decided, by headline reason.", "reason")
	for _, r := range words.Reasons {
		m.reasons = append(m.reasons, reasons.WithLabelValues(orUnnamed(r)))
	}
	parts := m.histograms("belpoort_check_stage_duration_seconds", "Time spent in a part of a check.", "stage")
	for i, name := range stageNames {
		m.stages[i] = parts.WithLabelValues(name)
	}
}

func orUnnamed(word string) string {
	if word == "" {
		return "UNSPECIFIED"
	}
	return word
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histogram(name, help string) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets})
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) histograms(name, help string, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets}, labels)
	m.registry.MustRegister(h)
	return h
}

// Decided counts a decided call by the numbers of its verdict and headline; numbers without a word count as number 0.
func (m *Metrics) Decided(verdict, reason int, took time.Duration) {
	if verdict < 0 || verdict >= len(m.checks) {
		verdict = 0
	}
	if reason < 0 || reason >= len(m.reasons) {
		reason = 0
	}
	m.checks[verdict].Inc()
	m.latencies[verdict].Observe(took.Seconds())
	m.reasons[reason].Inc()
}

// Took measures a part of a check.
func (m *Metrics) Took(stage Stage, d time.Duration) { m.stages[stage].Observe(d.Seconds()) }

// CacheHit counts a record found in the cache.
func (m *Metrics) CacheHit() { m.hits.Inc() }

// CacheMiss counts a record that had to come from the ledger.
func (m *Metrics) CacheMiss() { m.misses.Inc() }

// Repeated counts a check that was decided again.
func (m *Metrics) Repeated() { m.repeats.Inc() }

// WithoutLease counts a check that could not rely on what this node holds.
func (m *Metrics) WithoutLease() { m.unleased.Inc() }

// Shed counts a check that was refused because too many were under way.
func (m *Metrics) Shed() { m.sheds.Inc() }

// Settled measures how long a fact took from the ledger to every node.
func (m *Metrics) Settled(d time.Duration) { m.settles.Observe(d.Seconds()) }

// Panicked counts a panic in a handler.
func (m *Metrics) Panicked() { m.panics.Inc() }

// Appended counts facts handed to the ledger; result is "written", "repeated" or "failed".
func (m *Metrics) Appended(result string, facts int) {
	m.appends.WithLabelValues(result).Add(float64(facts))
}

// Answered counts a request by its method and status code.
func (m *Metrics) Answered(method, code string) { m.requests.WithLabelValues(method, code).Inc() }

// Reloaded counts a file that was read again.
func (m *Metrics) Reloaded(file string, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.reloads.WithLabelValues(file, result).Inc()
}

// Gauge shows what a function returns whenever somebody looks.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// JournalLag shows how many decisions are on their way to the ledger, and how long the first of them has been.
func (m *Metrics) JournalLag(lag func() (records uint64, oldest time.Duration)) {
	m.Gauge("belpoort_journal_lag_records", "Decisions in the journal that the ledger does not have yet.", func() float64 {
		records, _ := lag()
		return float64(records)
	})
	m.Gauge("belpoort_journal_lag_seconds", "About how long the first of them has been on its way.", func() float64 {
		_, oldest := lag()
		return oldest.Seconds()
	})
}
