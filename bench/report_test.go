package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// cellOf makes the cell of calls that took what is said, round by round, as a run would.
func cellOf(name string, l Load, baseline bool, cpu time.Duration, rounds ...[]time.Duration) Cell {
	r := &run{plan: &Plan{Loads: []Load{l}}, contestant: &Contestant{Name: name, Baseline: baseline}, tallies: make([]tally, 1)}
	for _, calls := range rounds {
		log := newRecording()
		for i, d := range calls {
			log.took(i, d, nil)
		}
		r.tallies[0].add(log, outcome{took: time.Second, cpu: cpu, cpuKnown: cpu > 0, made: uint64(len(calls))})
	}
	return r.cell(0)
}

// evenly is n calls, all of which took d but for every fiftieth, which took a hundred times as long.
func evenly(n int, d time.Duration) []time.Duration {
	calls := make([]time.Duration, n)
	for i := range calls {
		calls[i] = d
		if i%50 == 0 {
			calls[i] = 100 * d
		}
	}
	return calls
}

func near(got, want float64) bool { return math.Abs(got-want) <= want/500 } // histograms keep three digits

func TestRatios(t *testing.T) {
	load, other := Load{Callers: 64}, Load{Rate: 2000}
	cells := []Cell{
		cellOf(Allow, load, false, 300*time.Millisecond, evenly(1000, 300*time.Microsecond), evenly(3000, 300*time.Microsecond)),
		cellOf(Echo, load, true, 100*time.Millisecond, evenly(4000, 100*time.Microsecond), evenly(4000, 100*time.Microsecond)),
		cellOf(Allow, other, false, 0, evenly(2000, 500*time.Microsecond)),
		cellOf(Echo, other, true, time.Second, evenly(2000, 250*time.Microsecond)),
	}
	ratios := Ratios(cells)
	if len(ratios) != 2 {
		t.Fatalf("%d ratios: a contestant meets a baseline under the same load only", len(ratios))
	}
	r := ratios[0]
	if r.Load != load || r.Contestant != Allow || r.Baseline != Echo {
		t.Errorf("the first is %+v", r)
	}
	for name, c := range map[string]struct{ got, want float64 }{
		"calls/s":       {r.CallsPerSecond, 0.5}, // 4000 against 8000 in 2 s
		"lowest round":  {r.Lowest, 0.25},        // 1000 against 4000
		"highest round": {r.Highest, 0.75},       // 3000 against 4000
		"p50":           {r.P50, 3},              // 300 us against 100
		"p99":           {r.P99, 3},              // a hundred times that
		"CPU":           {*r.CPUPerCall, 6},      // 600 ms for 4000 calls against 200 ms for 8000
		"p50 itself":    {cells[0].Latency.P50, 300},
		"p99 itself":    {cells[0].Latency.P99, 30_000},
		"p50, other":    {ratios[1].P50, 2},
	} {
		if !near(c.got, c.want) {
			t.Errorf("%s is %v, want %v", name, c.got, c.want)
		}
	}
	if ratios[1].CPUPerCall != nil {
		t.Error("a CPU time that is not known has a ratio")
	}
}

// Lists are compared number by number, with single checks only and under the same load.
func TestListRatios(t *testing.T) {
	load := Load{Callers: 64}
	screen := cellOf(Screen, load, false, 100*time.Millisecond, evenly(400, time.Millisecond))
	screen.Numbers, screen.NumbersPerSecond = 1000, 1000*screen.CallsPerSecond
	cells := []Cell{
		screen,
		cellOf(Deny, load, false, 400*time.Millisecond, evenly(8000, 100*time.Microsecond)),
		cellOf(Deny, Load{Callers: 1}, false, 400*time.Millisecond, evenly(8000, 100*time.Microsecond)),
		cellOf(Echo, load, true, 100*time.Millisecond, evenly(8000, 100*time.Microsecond)),
	}
	ratios := ListRatios(cells)
	if len(ratios) != 1 || ratios[0].Load != load || ratios[0].Contestant != Screen || ratios[0].Single != Deny {
		t.Fatalf("%+v", ratios)
	}
	// 400,000 numbers/s against 8,000; 0.25 us against 50.
	if r := ratios[0]; !near(r.NumbersPerSecond, 50) || !near(*r.CPUPerNumber, 0.005) {
		t.Errorf("%v times the numbers/s, %v of the CPU", r.NumbersPerSecond, *r.CPUPerNumber)
	}
	for _, r := range Ratios(cells) {
		if r.Contestant == Screen {
			t.Errorf("a list is compared with a single answer: %+v", r)
		}
	}
}

func TestNothingAnsweredHasNoRatio(t *testing.T) {
	load := Load{Callers: 1}
	failed := cellOf(Allow, load, false, 0, nil)
	if ratios := Ratios([]Cell{failed, cellOf(Echo, load, true, 0, evenly(100, time.Millisecond))}); len(ratios) != 0 {
		t.Errorf("got %+v", ratios)
	}
	if ratios := Ratios([]Cell{cellOf(Allow, load, false, 0, evenly(100, time.Millisecond)), cellOf(Echo, load, true, 0, nil)}); len(ratios) != 0 {
		t.Errorf("got %+v", ratios)
	}
}

func TestFailuresAreCountedAndNotAllNamed(t *testing.T) {
	log := newRecording()
	for i := range 100 {
		log.took(i, time.Hour, errors.New(strings.Repeat("x", i/2+1)))
	}
	var sum tally
	sum.add(log, outcome{took: time.Second})
	if sum.errors != 100 || len(sum.failures) != maxFailures || sum.rounds[0] != 0 {
		t.Errorf("%d errors, %d named, %v calls/s", sum.errors, len(sum.failures), sum.rounds)
	}
	if got := latencyOf(sum.latency).Max; !near(got, float64(longest.Microseconds())) {
		t.Errorf("an hour counts as %v us", got)
	}
}

func someReport() *Report {
	r := &Report{Version: "1 & <2>", Began: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Machine: "2 CPUs", Service: "here",
		Notes: []string{"a note"}, Allowed: 1, Denied: 1, Connections: 4, Rounds: 1, Duration: 1, Sizes: someSizes}
	for _, l := range []Load{{Callers: 1}, {Callers: 64}, {Rate: 2000}} {
		r.Cells = append(r.Cells,
			cellOf(Allow, l, false, time.Second, evenly(2000, 300*time.Microsecond)),
			cellOf(Deny, l, false, 0, nil), // answered nothing
			cellOf(Echo, l, true, time.Second, evenly(2000, 100*time.Microsecond)))
	}
	r.Ratios = Ratios(r.Cells)
	return r
}

// elements counts the elements of a document by name, and fails where it is not well-formed.
func elements(t *testing.T, document string) map[string]int {
	t.Helper()
	count := map[string]int{}
	decoder := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if start, ok := token.(xml.StartElement); ok {
			count[start.Name.Local]++
		}
	}
}

func TestPlots(t *testing.T) {
	var svg, page bytes.Buffer
	r := someReport()
	if err := errors.Join(r.WriteSVG(&svg), r.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	for name, document := range map[string]string{"svg": svg.String(), "html": page.String()} {
		count := elements(t, document)
		if count["svg"] != 1 || count["polyline"] != 6 || count["script"]+count["link"]+count["img"] != 0 {
			t.Errorf("%s has %v", name, count)
		}
		for _, want := range []string{"closed loop, 64 callers", "open loop, 2000 calls/s", ">99.9 %<", "1 ms<", "prefers-color-scheme: dark", "1 &amp; &lt;2&gt;"} {
			if !strings.Contains(document, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		for _, never := range []string{"NaN", "Inf", "url(", "src=", "href="} {
			if strings.Contains(document, never) {
				t.Errorf("%s has %q", name, never)
			}
		}
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := someReport().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"p99.9 ms", "CPU/call us", "allow : echo", "note", "a note", "cache is warm", "closed loop, 1 caller\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
	rows := 0
	columns := 10
	for _, line := range strings.Split(b.String(), "\n") {
		if strings.HasPrefix(line, "open loop") {
			columns = 11 // and how late calls were sent
		}
		if fields := strings.Fields(line); len(fields) == columns && (fields[0] == Allow || fields[0] == Deny || fields[0] == Echo) {
			rows++
		}
	}
	if rows != 9 {
		t.Errorf("%d rows with all columns, want 9:\n%s", rows, b.String())
	}
}

func TestReportIsJSON(t *testing.T) {
	data, err := json.Marshal(someReport())
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(data, &back); err != nil || len(back.Cells) != 9 || len(back.Ratios) != 3 || back.Cells[0].Latency.P99 == 0 {
		t.Errorf("%d cells, %d ratios, %v", len(back.Cells), len(back.Ratios), err)
	}
	points := back.Cells[0].Distribution
	if !near(points[0].Latency, 300) {
		t.Errorf("the distribution begins at %v", points[0])
	}
	for i := 1; i < len(points); i++ {
		if points[i].Percentile <= points[i-1].Percentile || points[i].Latency < points[i-1].Latency {
			t.Fatalf("the distribution falls at %v", points[i])
		}
	}
}
