package ops

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// DoorGRPC is the name of the door that every service has.
const DoorGRPC = "grpc"

// maxDoors bounds the label door; names are given by our own code, so this many never come.
const maxDoors = 16

// Decided is one decided call.
type Decided struct {
	Verdict, Reason int // as Words number them; numbers without a word count as number 0
	Door            string
	Campaign        string
	DecisionID      string // "" for a dry run
	At              time.Time
	Took            time.Duration

	// For the decision log and the trace.
	Organisation, CalleeToken, Client, LawVersion string
	LedgerPosition                                uint64
	TraceID                                       string // "" where the check is not traced
}

// door is what is bound in advance for one door, by verdict.
type door struct {
	checks    []prometheus.Counter
	latencies []prometheus.Observer
}

// doorOf binds a door when it is first used.
func (m *Metrics) doorOf(name string) *door {
	if d, ok := m.doors.Load(name); ok {
		return d.(*door)
	}
	known := 0
	m.doors.Range(func(any, any) bool { known++; return true })
	if known >= maxDoors {
		return m.doorOf(DoorGRPC)
	}
	d := &door{}
	for _, v := range m.words.Verdicts {
		d.checks = append(d.checks, m.checks.WithLabelValues(orUnnamed(v), name))
		d.latencies = append(d.latencies, m.latencies.WithLabelValues(orUnnamed(v), name))
	}
	kept, _ := m.doors.LoadOrStore(name, d)
	return kept.(*door)
}

// Decided counts a decided call.
func (m *Metrics) Decided(d Decided) {
	if d.Verdict < 0 || d.Verdict >= len(m.words.Verdicts) {
		d.Verdict = 0
	}
	if d.Reason < 0 || d.Reason >= len(m.reasons) {
		d.Reason = 0
	}
	through := m.doorOf(d.Door)
	through.checks[d.Verdict].Inc()
	if d.TraceID == "" {
		through.latencies[d.Verdict].Observe(d.Took.Seconds())
	} else {
		through.latencies[d.Verdict].(prometheus.ExemplarObserver).ObserveWithExemplar(d.Took.Seconds(), prometheus.Labels{"trace_id": d.TraceID})
	}
	m.reasons[d.Reason].Inc()
	m.campaigns.count(d.Campaign, d.Verdict, time.Now())
	m.live.decided(&d)
	if m.words.Verdicts[d.Verdict] != "ALLOW" && d.DecisionID != "" {
		m.refusals.keep(Refusal{
			At: d.At, DecisionID: d.DecisionID, Campaign: d.Campaign, Verdict: orUnnamed(m.words.Verdicts[d.Verdict]),
			Reason: orUnnamed(m.words.Reasons[d.Reason]), Door: d.Door,
		})
	}
}

// campaigns counts by campaign, of a bounded number.
type campaigns struct {
	words    []string // of verdicts
	counters *prometheus.CounterVec

	mu     sync.RWMutex
	byName map[string]*campaign
}

// campaign is what is bound in advance for one campaign.
type campaign struct {
	checks []prometheus.Counter // by verdict

	mu     sync.Mutex
	recent [recentMinutes]minute
}

// recentMinutes is how far back a campaign's calls are counted for people to look at.
const recentMinutes = LiveSeconds / 60

type minute struct {
	at               int64 // minutes since 1970
	allowed, refused uint64
}

func (c *campaigns) count(name string, verdict int, now time.Time) {
	if name == "" {
		return
	}
	c.mu.RLock()
	bound := c.byName[name]
	c.mu.RUnlock()
	if bound == nil {
		bound = c.bind(name)
	}
	bound.checks[verdict].Inc()
	bound.note(c.words[verdict] == "ALLOW", now)
}

func (c *campaign) note(allowed bool, now time.Time) {
	at := now.Unix() / 60
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &c.recent[at%recentMinutes]
	if m.at != at {
		*m = minute{at: at}
	}
	if allowed {
		m.allowed++
	} else {
		m.refused++
	}
}

func (c *campaigns) bind(name string) *campaign {
	c.mu.Lock()
	defer c.mu.Unlock()
	if bound := c.byName[name]; bound != nil {
		return bound
	}
	if len(c.byName) >= maxCampaigns {
		name = other
		if bound := c.byName[name]; bound != nil {
			return bound
		}
	}
	bound := &campaign{}
	for _, word := range c.words {
		bound.checks = append(bound.checks, c.counters.WithLabelValues(name, orUnnamed(word)))
	}
	c.byName[name] = bound
	return bound
}

// CampaignCalls is how many calls of a campaign were allowed and not allowed in the last 15 minutes.
type CampaignCalls struct {
	Name    string `json:"name"`
	Allowed uint64 `json:"allowed"`
	Refused uint64 `json:"refused"`
}

// CampaignCalls lists the campaigns that were asked about since the start, by name.
func (m *Metrics) CampaignCalls() []CampaignCalls {
	first := time.Now().Unix()/60 - recentMinutes
	m.campaigns.mu.RLock()
	defer m.campaigns.mu.RUnlock()
	all := make([]CampaignCalls, 0, len(m.campaigns.byName))
	for name, c := range m.campaigns.byName {
		calls := CampaignCalls{Name: name}
		c.mu.Lock()
		for _, one := range c.recent {
			if one.at > first {
				calls.Allowed += one.allowed
				calls.Refused += one.refused
			}
		}
		c.mu.Unlock()
		all = append(all, calls)
	}
	slices.SortFunc(all, func(a, b CampaignCalls) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Refusal is a call that was not allowed, for people to look at.
type Refusal struct {
	At         time.Time `json:"at"`
	DecisionID string    `json:"decision_id"`
	Campaign   string    `json:"campaign"`
	Verdict    string    `json:"verdict"`
	Reason     string    `json:"reason"`
	Door       string    `json:"door"`
}

// keptRefusals is how many of the latest refusals are shown.
const keptRefusals = 40

// refusals keeps the latest ones.
type refusals struct {
	mu   sync.Mutex
	ring [keptRefusals]Refusal
	next int
	full bool
}

func (r *refusals) keep(one Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.next] = one
	r.next++
	if r.next == len(r.ring) {
		r.next, r.full = 0, true
	}
}

// LatestRefusals gives the latest refusals, newest first.
func (m *Metrics) LatestRefusals() []Refusal {
	r := &m.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	count := r.next
	if r.full {
		count = len(r.ring)
	}
	latest := make([]Refusal, 0, count)
	for i := range count {
		latest = append(latest, r.ring[(r.next-1-i+len(r.ring))%len(r.ring)])
	}
	return latest
}
