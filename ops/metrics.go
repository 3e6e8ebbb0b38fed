// Package ops is what the people who run Belpoort look at: metrics, the last minutes second by second, and the pages that
// say whether it lives and serves. It is told what to show and knows neither the law nor the stores; no label or value here
// ever names a callee.
package ops

import (
	"sync"
	"sync/atomic"
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
	StageWait Stage = iota // for a turn to compute
	StageCache
	StageLedger
	StageDecide
	StageJournal
	StageFence
	stages
)

var stageNames = [stages]string{"wait", "cache", "ledger", "decide", "journal", "fence"}

func (s Stage) String() string { return stageNames[s] }

// Dialers wait 20 to 50 milliseconds; native histograms stand beside these buckets for those who scrape them.
var latencyBuckets = []float64{
	.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .02, .05, .1, .25, .5, 1,
}

// An objection takes milliseconds, but one that waits for the ledger may take hours.
var effectBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600}

// The labels campaign and menu are bounded: those that come later are counted together, as other.
const (
	maxCampaigns = 200
	maxMenus     = 200
	other        = "(other)"
)

// Metrics are this process's figures. What happens in every check is bound in advance and allocates nothing.
type Metrics struct {
	registry  *prometheus.Registry
	live      *Live
	refusals  refusals
	words     Words
	checks    *prometheus.CounterVec
	latencies *prometheus.HistogramVec
	doors     sync.Map // name to *door
	reasons   []prometheus.Counter
	campaigns campaigns
	stages    [stages]prometheus.Observer
	hits      prometheus.Counter
	misses    prometheus.Counter
	repeats   prometheus.Counter
	unleased  prometheus.Counter
	sheds     prometheus.Counter
	limited   prometheus.Counter
	screened  []prometheus.Counter // by verdict
	settles   prometheus.Observer
	effects   prometheus.Observer
	fsyncs    prometheus.Observer
	panics    prometheus.Counter
	law       *prometheus.GaugeVec
	lawNow    atomic.Pointer[string]
	appends   *prometheus.CounterVec
	appending prometheus.Observer
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	reloads   *prometheus.CounterVec
	loads     *prometheus.CounterVec
	digits    *prometheus.CounterVec
	menusMu   sync.Mutex
	menus     map[string]bool // that are counted apart
	standings atomic.Pointer[[]Campaign]
}

// New makes the figures, all at zero.
func New(words Words, build Build) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), words: words, live: newLive(words), menus: map[string]bool{}}
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.bindChecks()
	cache := m.counters("belpoort_cache_lookups_total", "Look-ups of eligibility records, by result.", "result")
	m.hits, m.misses = cache.WithLabelValues("hit"), cache.WithLabelValues("miss")
	m.repeats = m.counter("belpoort_checks_repeated_total",
		"Checks decided again because a newer fact about the callee came in while they were under way.")
	m.unleased = m.counter("belpoort_checks_without_lease_total", "Checks that had to ask the ledger itself because this node held no lease.")
	m.sheds = m.counter("belpoort_checks_shed_total", "Checks refused because too many were under way.")
	m.limited = m.counter("belpoort_checks_rate_limited_total", "Checks refused because their key asked more a second than it may.")
	m.bindWrites()
	m.panics = m.counter("belpoort_panics_total", "Panics in handlers, answered INTERNAL.")
	m.requests = m.counters("belpoort_requests_total", "Requests answered, by method and status code.", "method", "code")
	m.durations = m.histograms("belpoort_request_duration_seconds", "Time from a request's arrival to its answer, refusals and errors included, by method.", latencyBuckets, "method")
	m.reloads = m.counters("belpoort_file_reloads_total", "Files read again because they changed, by file and result.", "file", "result")
	m.digits = m.counters("belpoort_ivr_unknown_digits_total", "Digits that IVRs sent and their menu does not know, by menu.", "menu")
	m.registry.MustRegister(newCampaignGauges(m.Standings))
	m.bindInfo(build)
	return m
}

func (m *Metrics) bindInfo(build Build) {
	info := m.gauges("belpoort_build_info", "What is running; always 1.", "version", "go_version")
	info.WithLabelValues(build.Version, build.GoVersion).Set(1)
	m.law = m.gauges("belpoort_law_info", "The law in force; always 1.", "law_version")
	m.LawInForce(build.LawVersion)
}

func (m *Metrics) bindWrites() {
	m.settles = m.histogram("belpoort_settle_duration_seconds", "Time until every node had taken in a fact that the ledger had recorded.", latencyBuckets)
	m.effects = m.histogram("belpoort_objection_effect_seconds",
		"Time from an objection's arrival until no node allows a call against it, those included that waited for the ledger.", effectBuckets)
	m.fsyncs = m.histogram("belpoort_journal_fsync_duration_seconds", "Time that the disk took to keep a group of the journal's records.", latencyBuckets)
	m.appends = m.counters("belpoort_ledger_facts_total", "Facts handed to the ledger, by result.", "result")
	m.appending = m.histogram("belpoort_ledger_append_duration_seconds", "Time that the ledger took to keep the facts of one request.", latencyBuckets)
	m.loads = m.counters("belpoort_imported_facts_total", "Facts that came in streams, as imports send them, by result.", "result")
}

func (m *Metrics) bindChecks() {
	m.checks = m.counters("belpoort_checks_total", "Calls decided, by verdict and by the door through which they were asked.", "verdict", "door")
	m.latencies = m.histograms("belpoort_check_duration_seconds", "Time from a check's arrival to its answer, by verdict and door.", latencyBuckets, "verdict", "door")
	m.doorOf(DoorGRPC)
	screened := m.counters("belpoort_screened_numbers_total", "Numbers of lists that were screened, by verdict.", "verdict")
	for _, v := range m.words.Verdicts {
		m.screened = append(m.screened, screened.WithLabelValues(orUnnamed(v)))
	}
	reasons := m.counters("belpoort_check_reasons_total", "Calls decided, by headline reason.", "reason")
	for _, r := range m.words.Reasons {
		m.reasons = append(m.reasons, reasons.WithLabelValues(orUnnamed(r)))
	}
	parts := m.histograms("belpoort_check_stage_duration_seconds", "Time spent in a part of a check.", latencyBuckets, "stage")
	for i, name := range stageNames {
		m.stages[i] = parts.WithLabelValues(name)
	}
	m.campaigns = campaigns{words: m.words.Verdicts, byName: map[string]*campaign{},
		counters: m.counters("belpoort_campaign_checks_total", "Calls decided, by campaign and verdict.", "campaign", "verdict")}
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

func (m *Metrics) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

// histogramOpts has native buckets 10 % apart beside the classic ones; a scraper takes the form that it knows.
func histogramOpts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(histogramOpts(name, help, buckets))
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(histogramOpts(name, help, buckets), labels)
	m.registry.MustRegister(h)
	return h
}

// Screened counts numbers of lists by the number of their verdict; one without a word counts as number 0.
func (m *Metrics) Screened(verdict, numbers int) {
	if verdict < 0 || verdict >= len(m.screened) {
		verdict = 0
	}
	m.screened[verdict].Add(float64(numbers))
}

// Took measures a part of a check.
func (m *Metrics) Took(stage Stage, d time.Duration) {
	m.stages[stage].Observe(d.Seconds())
	m.live.stages[stage].observe(d)
}

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

// RateLimited counts a check that was refused because its key asked too fast.
func (m *Metrics) RateLimited() { m.limited.Inc() }

// Settled measures how long a fact took from the ledger to every node.
func (m *Metrics) Settled(d time.Duration) { m.settles.Observe(d.Seconds()) }

// InEffect measures how long an objection took from its arrival until no node allows a call against it.
func (m *Metrics) InEffect(d time.Duration) {
	m.effects.Observe(d.Seconds())
	m.live.effects.observe(d)
}

// Synced measures an fsync of the journal.
func (m *Metrics) Synced(d time.Duration) {
	m.fsyncs.Observe(d.Seconds())
	m.live.fsyncs.observe(d)
}

// Panicked counts a panic in a handler.
func (m *Metrics) Panicked() { m.panics.Inc() }

// Appended counts facts handed to the ledger; result is "written", "repeated" or "failed".
func (m *Metrics) Appended(result string, facts int) {
	m.appends.WithLabelValues(result).Add(float64(facts))
}

// AppendTook measures one append to the ledger.
func (m *Metrics) AppendTook(d time.Duration) { m.appending.Observe(d.Seconds()) }

// Imported counts facts that came in a stream; result is "recorded", "unchanged" or "rejected".
func (m *Metrics) Imported(result string, facts int) {
	m.loads.WithLabelValues(result).Add(float64(facts))
}

// Answered counts a request by its method and status code. A check that failed is shown in the last minutes too.
func (m *Metrics) Answered(method, code string, check bool, took time.Duration) {
	m.requests.WithLabelValues(method, code).Inc()
	m.durations.WithLabelValues(method).Observe(took.Seconds())
	if check && code != "OK" {
		m.live.failed.Add(1)
	}
}

// Reloaded counts a file that was read again.
func (m *Metrics) Reloaded(file string, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.reloads.WithLabelValues(file, result).Inc()
}

// LawInForce shows which law is.
func (m *Metrics) LawInForce(version string) {
	m.law.Reset()
	m.law.WithLabelValues(version).Set(1)
	m.lawNow.Store(&version)
}

// UnknownDigit counts a digit that its IVR menu does not know. Menus are those of the catalogue; "" is none of them.
func (m *Metrics) UnknownDigit(menu string) {
	m.menusMu.Lock()
	if !m.menus[menu] && len(m.menus) >= maxMenus {
		menu = other
	}
	m.menus[menu] = true
	m.menusMu.Unlock()
	m.digits.WithLabelValues(menu).Inc()
}

// Law is the version of the law in force.
func (m *Metrics) Law() string { return *m.lawNow.Load() }

// Gauge shows what a function returns whenever somebody looks.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// GaugeOf is Gauge with labels: pairs of name and value.
func (m *Metrics) GaugeOf(name, help string, value func() float64, labels ...string) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: pairs(labels)}, value))
}

// Count shows a count that is kept elsewhere; labels are pairs of name and value.
func (m *Metrics) Count(name, help string, value func() float64, labels ...string) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: pairs(labels)}, value))
}

func pairs(labels []string) prometheus.Labels {
	by := prometheus.Labels{}
	for i := 0; i+1 < len(labels); i += 2 {
		by[labels[i]] = labels[i+1]
	}
	return by
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

// JournalGroups shows how many records the disk kept together: groups[i] counts those of 2^i to 2^(i+1)-1 records.
func (m *Metrics) JournalGroups(count func() (groups []uint64, records uint64)) {
	m.registry.MustRegister(&groupSizes{count: count, desc: prometheus.NewDesc("belpoort_journal_group_records",
		"Records that one fsync of the journal kept.", nil, nil)})
}

type groupSizes struct {
	desc  *prometheus.Desc
	count func() (groups []uint64, records uint64)
}

func (g *groupSizes) Describe(to chan<- *prometheus.Desc) { to <- g.desc }

func (g *groupSizes) Collect(to chan<- prometheus.Metric) {
	groups, records := g.count()
	buckets, all := map[float64]uint64{}, uint64(0)
	for i, n := range groups {
		all += n
		buckets[float64(uint64(2)<<i-1)] = all
	}
	to <- prometheus.MustNewConstHistogram(g.desc, all, float64(records), buckets)
}
