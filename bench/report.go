package bench

import (
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Cell is what became of one contestant under one load. Times are in microseconds.
type Cell struct {
	Load           Load    `json:"load"`
	Contestant     string  `json:"contestant"`
	Baseline       bool    `json:"baseline,omitempty"`
	Calls          uint64  `json:"calls"` // the failed ones too
	Errors         uint64  `json:"errors"`
	Seconds        float64 `json:"seconds"`
	CallsPerSecond float64 `json:"calls_per_second"` // answered as they had to be
	Latency        Latency `json:"latency_us"`
	// Numbers is how many numbers one call was about, NumbersPerSecond how many were answered; absent for single checks.
	Numbers          int      `json:"numbers_per_call,omitempty"`
	NumbersPerSecond float64  `json:"numbers_per_second,omitempty"`
	CPUPerCall       *float64 `json:"cpu_us_per_call"` // user and system time of the answering process; null: not known
	// Rest is for how many seconds, over all rounds, the process worked on after its last answers; that CPU time counts too.
	Rest *float64 `json:"worked_on_seconds"`
	// SentLateP99 is how late this client sent a call of an open loop; it is part of the call's latency.
	SentLateP99  *float64          `json:"sent_late_p99_us,omitempty"`
	Rounds       []float64         `json:"calls_per_second_by_round"`
	Failures     map[string]uint64 `json:"failures,omitempty"` // by sentence, some of them
	Distribution []Point           `json:"distribution"`
}

// Latency of calls, in microseconds.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

// Point says that so many percent of the calls took so many microseconds at most.
type Point struct {
	Percentile float64 `json:"percentile"`
	Latency    float64 `json:"us"`
}

// Ratio compares a contestant with a baseline under the same load; 1 is as good, and latency and CPU are better below it.
type Ratio struct {
	Load           Load     `json:"load"`
	Contestant     string   `json:"contestant"`
	Baseline       string   `json:"baseline"`
	CallsPerSecond float64  `json:"calls_per_second"`
	Lowest         float64  `json:"calls_per_second_lowest_round"`
	Highest        float64  `json:"calls_per_second_highest_round"`
	P50            float64  `json:"p50"`
	P99            float64  `json:"p99"`
	CPUPerCall     *float64 `json:"cpu_per_call"` // null: not known
}

func (r *run) cell(l int) Cell {
	t := &r.tallies[l]
	c := Cell{
		Load: r.plan.Loads[l], Contestant: r.contestant.Name, Baseline: r.contestant.Baseline,
		Calls: uint64(t.latency.TotalCount()), Errors: t.errors, Seconds: t.seconds, Rounds: t.rounds, Failures: t.failures,
		Latency: latencyOf(t.latency), Distribution: distributionOf(t.latency),
	}
	c.CallsPerSecond = float64(c.Calls-c.Errors) / t.seconds
	if r.contestant.Numbers > 1 {
		c.Numbers, c.NumbersPerSecond = r.contestant.Numbers, c.CallsPerSecond*float64(r.contestant.Numbers)
	}
	if t.cpuKnown && t.made > 0 {
		perCall, rest := microseconds(int64(t.cpu))/float64(t.made), t.rest.Seconds()
		c.CPUPerCall, c.Rest = &perCall, &rest
	}
	if c.Load.Rate > 0 {
		late := microseconds(t.lateness.ValueAtPercentile(99))
		c.SentLateP99 = &late
	}
	return c
}

func microseconds(ns int64) float64 { return float64(ns) / float64(time.Microsecond) }

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(percentile float64) float64 { return microseconds(h.ValueAtPercentile(percentile)) }
	return Latency{
		Mean: h.Mean() / float64(time.Microsecond), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: microseconds(h.Max()),
	}
}

// distributionOf takes percentiles at equal steps of the logarithm of how rare they are, up to what one call in all is.
func distributionOf(h *hdrhistogram.Histogram) []Point {
	if h.TotalCount() == 0 {
		return nil
	}
	const steps = 20 // in each power of ten
	rarest := int(steps * math.Log10(float64(h.TotalCount())))
	percentiles := make([]float64, rarest+1)
	for step := range percentiles {
		percentiles[step] = 100 * (1 - math.Pow(10, -float64(step)/steps))
	}
	points := make([]Point, len(percentiles))
	at := h.ValueAtPercentiles(percentiles)
	for i, percentile := range percentiles {
		points[i] = Point{percentile, microseconds(at[percentile])}
	}
	points[0].Latency = microseconds(h.Min()) // the library says 0
	return points
}

// lists tells that the calls were about lists.
func (c *Cell) lists() bool { return c.Numbers > 1 }

// Ratios compares every contestant with every baseline under the same load. Both must have answered something. For lists
// see ListRatios.
func Ratios(cells []Cell) []Ratio {
	var ratios []Ratio
	for i := range cells {
		for j := range cells {
			c, base := &cells[i], &cells[j]
			if !c.Baseline && !c.lists() && base.Baseline && c.Load == base.Load && c.CallsPerSecond > 0 && base.CallsPerSecond > 0 {
				ratios = append(ratios, ratioOf(c, base))
			}
		}
	}
	return ratios
}

func ratioOf(c, base *Cell) Ratio {
	r := Ratio{
		Load: c.Load, Contestant: c.Contestant, Baseline: base.Contestant,
		CallsPerSecond: c.CallsPerSecond / base.CallsPerSecond,
		P50:            c.Latency.P50 / base.Latency.P50, P99: c.Latency.P99 / base.Latency.P99,
	}
	var rounds []float64
	for i := range min(len(c.Rounds), len(base.Rounds)) {
		if base.Rounds[i] > 0 {
			rounds = append(rounds, c.Rounds[i]/base.Rounds[i])
		}
	}
	if len(rounds) > 0 {
		r.Lowest, r.Highest = slices.Min(rounds), slices.Max(rounds)
	}
	if c.CPUPerCall != nil && base.CPUPerCall != nil && *base.CPUPerCall > 0 {
		cpu := *c.CPUPerCall / *base.CPUPerCall
		r.CPUPerCall = &cpu
	}
	return r
}
