package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is a whole run. The JSON form is what its fields say.
type Report struct {
	Version string    `json:"version"`
	Began   time.Time `json:"began"`
	Machine string    `json:"machine"`
	Service string    `json:"service"` // where it ran and since when
	Notes   []string  `json:"notes,omitempty"`

	Allowed     int     `json:"callees_allowed"`
	Denied      int     `json:"callees_denied"`
	Seed        uint64  `json:"seed"`
	Warm        float64 `json:"warm_seconds"` // the pass before the run that asked once about every callee
	Connections int     `json:"connections"`
	Rounds      int     `json:"rounds"`
	Duration    float64 `json:"seconds_per_cell"`
	Sizes       Sizes   `json:"sizes_bytes"`

	Cells  []Cell  `json:"cells"`
	Ratios []Ratio `json:"ratios"`
	// Lists are the ratios of lists to single checks; absent where no list was asked.
	Lists []ListRatio `json:"list_ratios,omitempty"`
}

// Errors is how many calls failed or were answered wrongly, and what the first kind of failure was, by name.
func (r *Report) Errors() (n uint64, first string) {
	for i := range r.Cells {
		c := &r.Cells[i]
		n += c.Errors
		if first == "" && c.Errors > 0 {
			first = fmt.Sprintf("%s, %v: %s", c.Contestant, c.Load, slices.Sorted(maps.Keys(c.Failures))[0])
		}
	}
	return n, first
}

// WriteTable writes a report for people.
func (r *Report) WriteTable(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "belpoort bench %s, %s\n", r.Version, r.Began.Format("2006-01-02 15:04 MST"))
	line := func(label, text string) { fmt.Fprintf(&b, "  %-9s %s\n", label, text) }
	line("machine", r.Machine)
	line("service", r.Service)
	line("callees", fmt.Sprintf("%d who may be called, %d who may not, seed %d; each asked about once before (%.1f s), so the cache is warm",
		r.Allowed, r.Denied, r.Seed, r.Warm))
	line("messages", fmt.Sprintf("request %d bytes, answer %d, decision on disk %d", r.Sizes.Request, r.Sizes.Answer, r.Sizes.Decision))
	line("run", fmt.Sprintf("%d connections, %d interleaved rounds, %.3g s for each line", r.Connections, r.Rounds, r.Duration))
	for _, note := range r.Notes {
		line("note", note)
	}
	for _, l := range r.loads() {
		r.writeLoad(&b, l)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// loads are in the order of the cells.
func (r *Report) loads() []Load {
	var loads []Load
	for i := range r.Cells {
		if !slices.Contains(loads, r.Cells[i].Load) {
			loads = append(loads, r.Cells[i].Load)
		}
	}
	return loads
}

func (r *Report) writeLoad(out io.Writer, l Load) {
	fmt.Fprintf(out, "\n%v\n", l)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { fmt.Fprintln(table, strings.Join(cells, "\t")+"\t") }
	head := []string{"", "calls/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "errors", "CPU/call us", "worked on s"}
	if l.Rate > 0 {
		head = append(head, "sent late p99 ms")
	}
	row(head...)
	for i := range r.Cells {
		if c := &r.Cells[i]; c.Load == l {
			row(c.columns()...)
		}
	}
	_ = table.Flush()
	table = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row("ratio", "calls/s", "lowest-highest round", "p50", "p99", "CPU/call")
	for _, q := range r.Ratios {
		if q.Load == l {
			row(q.Contestant+" : "+q.Baseline, fmt.Sprintf("%.2f", q.CallsPerSecond), fmt.Sprintf("%.2f-%.2f", q.Lowest, q.Highest),
				fmt.Sprintf("%.2f", q.P50), fmt.Sprintf("%.2f", q.P99), optional(q.CPUPerCall, "%.2f"))
		}
	}
	_ = table.Flush()
	r.writeLists(out, l)
}

// writeLists says what lists came to, number by number.
func (r *Report) writeLists(out io.Writer, l Load) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { fmt.Fprintln(table, strings.Join(cells, "\t")+"\t") }
	for i := range r.Cells {
		if c := &r.Cells[i]; c.Load == l && c.lists() {
			row("lists", "numbers in each", "numbers/s", "CPU/number us")
			perNumber := c.CPUPerCall
			if perNumber != nil {
				each := *perNumber / float64(c.Numbers)
				perNumber = &each
			}
			row(c.Contestant, strconv.Itoa(c.Numbers), strconv.Itoa(int(c.NumbersPerSecond+0.5)), optional(perNumber, "%.2f"))
		}
	}
	for _, q := range r.Lists {
		if q.Load == l {
			row(q.Contestant+" : "+q.Single, "", fmt.Sprintf("%.1f", q.NumbersPerSecond), optional(q.CPUPerNumber, "%.3f"))
		}
	}
	_ = table.Flush()
}

// columns are a cell's, as the head of the table names them.
func (c *Cell) columns() []string {
	columns := []string{
		c.Contestant, strconv.Itoa(int(c.CallsPerSecond + 0.5)), milliseconds(c.Latency.P50), milliseconds(c.Latency.P90),
		milliseconds(c.Latency.P99), milliseconds(c.Latency.P999), milliseconds(c.Latency.Max), strconv.FormatUint(c.Errors, 10),
		optional(c.CPUPerCall, "%.1f"), optional(c.Rest, "%.2f"),
	}
	if c.SentLateP99 != nil {
		columns = append(columns, milliseconds(*c.SentLateP99))
	}
	return columns
}

func milliseconds(us float64) string { return fmt.Sprintf("%.3f", us/1000) }

func optional(v *float64, format string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v)
}
