package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// scrape asks for metrics in a form, and gives the form that came.
func (p *process) scrape(accept string) (form, body string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.ops+"/metrics", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		p.t.Fatalf("/metrics: %s, %v", answer.Status, err)
	}
	return answer.Header.Get("Content-Type"), string(text)
}

// sample is the value of one line of /metrics; 0 where there is none.
func (p *process) sample(line string) float64 {
	p.t.Helper()
	_, body := p.scrape("")
	for text := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(text), line+" "); ok {
			value, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return value
		}
	}
	return 0
}

// families reads an exposition, whatever its form, by metric.
func (p *process) families(accept string) map[string]*dto.MetricFamily {
	p.t.Helper()
	form, body := p.scrape(accept)
	header := http.Header{}
	header.Set("Content-Type", form)
	decoder := expfmt.NewDecoder(strings.NewReader(body), expfmt.ResponseFormat(header))
	all := map[string]*dto.MetricFamily{}
	for {
		family := &dto.MetricFamily{}
		if err := decoder.Decode(family); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			p.t.Fatalf("%s: %v", form, err)
		}
		all[family.GetName()] = family
	}
}

// moves tells by how much samples grow while something is done.
func (p *process) moves(what string, do func(), want map[string]float64) {
	p.t.Helper()
	before := map[string]float64{}
	for line := range want {
		before[line] = p.sample(line)
	}
	do()
	for line, by := range want {
		grown := 0.0
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if grown = p.sample(line) - before[line]; grown == by {
				break // what a client has left is counted a little later
			}
		}
		if grown != by {
			p.t.Errorf("%s: %s grew by %v, want %v", what, line, grown, by)
		}
	}
}

// One process, one series of checks: a success, a hit, a refusal, a miss, a timeout and an error can each be told from what a
// scraper reads, in every form that it may ask for; and Prometheus' own tool finds no fault with the names.
func TestTheFiguresOfARunningProcess(t *testing.T) {
	collector := startReceiver(t)
	c := startCluster(t, 1, "--otlp", "http://"+collector.address, "--trace-ratio", "1", "--decision-log", filepath.Join(t.TempDir(), "decisions.log"))
	n := c.nodes[0]
	n.consents(0, 1)
	const (
		allowed  = `belpoort_checks_total{door="grpc",verdict="ALLOW"}`
		denied   = `belpoort_checks_total{door="grpc",verdict="DENY"}`
		hit      = `belpoort_cache_lookups_total{result="hit"}`
		miss     = `belpoort_cache_lookups_total{result="miss"}`
		stage    = `belpoort_check_stage_duration_seconds_count{stage="`
		method   = `,method="/belpoort.v1.GatekeeperService/CheckCall"}`
		ok       = `belpoort_requests_total{code="OK"` + method
		late     = `belpoort_requests_total{code="DeadlineExceeded"` + method
		away     = `belpoort_requests_total{code="Unavailable"` + method
		duration = `belpoort_check_duration_seconds_count{door="grpc",verdict="ALLOW"}`
	)
	ask := func(callee, verdict string) func() {
		return func() {
			answer, err := n.within(5*time.Second, callee)
			if err != nil || answer.GetVerdict().String() != "VERDICT_"+verdict {
				t.Errorf("%v, %v", answer, err)
			}
		}
	}
	n.moves("a success that misses", ask(subject(0), "ALLOW"), map[string]float64{
		allowed: 1, denied: 0, duration: 1, miss: 1, hit: 0, ok: 1, stage + `cache"}`: 1, stage + `ledger"}`: 1, stage + `decide"}`: 1,
		stage + `journal"}`: 1, stage + `fence"}`: 2, `belpoort_check_reasons_total{reason="OK_CONSENT"}`: 1,
		`belpoort_campaign_checks_total{campaign="volt",verdict="ALLOW"}`: 1,
	})
	n.moves("a hit", ask(subject(0), "ALLOW"), map[string]float64{allowed: 1, hit: 1, miss: 0, stage + `ledger"}`: 0})
	n.moves("a refusal", ask(subject(7), "DENY"), map[string]float64{
		allowed: 0, denied: 1, miss: 1, stage + `fence"}`: 1, `belpoort_check_reasons_total{reason="NO_BASIS"}`: 1,
	})
	n.moves("an objection", func() {
		if _, err := n.object(t.Context(), subject(3), "o"); err != nil {
			t.Error(err)
		}
	}, map[string]float64{`belpoort_objection_effect_seconds_count`: 1, `belpoort_ledger_facts_total{result="written"}`: 1, `belpoort_settle_duration_seconds_count`: 1})
	n.toLedger.Hang()
	n.moves("a timeout", func() {
		if _, err := n.within(100*time.Millisecond, subject(8)); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("want a timeout, got %v", err)
		}
	}, map[string]float64{allowed: 0, denied: 0, late: 1, ok: 0})
	n.toLedger.Heal()
	n.toLedger.Cut()
	n.moves("an error", func() {
		if _, err := n.within(5*time.Second, subject(9)); status.Code(err) != codes.Unavailable {
			t.Errorf("want UNAVAILABLE, got %v", err)
		}
	}, map[string]float64{allowed: 0, denied: 0, away: 1, ok: 0})
	n.toLedger.Heal()
	n.everyFormSays(map[string]float64{"ALLOW": 2, "DENY": 1})
	n.lints()
	n.showsWhatThePageNames()
}

const (
	inProtobuf    = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	inOpenMetrics = "application/openmetrics-text;version=1.0.0"
)

// everyFormSays compares the counts of verdicts in text, OpenMetrics and protobuf; the last has native histograms too.
func (p *process) everyFormSays(verdicts map[string]float64) {
	p.t.Helper()
	for accept, want := range map[string]string{"": "text/plain", inOpenMetrics: "application/openmetrics-text", inProtobuf: "application/vnd.google.protobuf", "x/y;;q=?": "text/plain"} {
		form, body := p.scrape(accept)
		if !strings.HasPrefix(form, want) {
			p.t.Errorf("Accept %q: got %s", accept, form)
			continue
		}
		for verdict, count := range verdicts {
			line := fmt.Sprintf("belpoort_checks_total{door=\"grpc\",verdict=\"%s\"} %v", verdict, count)
			if accept != inProtobuf && !strings.Contains(body, line) {
				p.t.Errorf("Accept %q: lacks %s", accept, line)
			}
		}
		if accept == inOpenMetrics && (!strings.HasSuffix(body, "# EOF\n") || !strings.Contains(body, ` # {trace_id="`)) {
			p.t.Error("OpenMetrics without its end, or without an exemplar")
		}
	}
	all := p.families(inProtobuf)
	for _, one := range all["belpoort_checks_total"].GetMetric() {
		verdict := one.GetLabel()[1].GetValue()
		if want, asked := verdicts[verdict]; asked && one.GetLabel()[0].GetValue() == "grpc" && one.GetCounter().GetValue() != want {
			p.t.Errorf("protobuf: %s %v, want %v", verdict, one.GetCounter().GetValue(), want)
		}
	}
	for _, name := range []string{"belpoort_check_duration_seconds", "belpoort_check_stage_duration_seconds", "belpoort_objection_effect_seconds", "belpoort_journal_fsync_duration_seconds"} {
		native, classic := uint64(0), uint64(0)
		for _, one := range all[name].GetMetric() {
			h := one.GetHistogram()
			for _, span := range h.GetPositiveSpan() {
				native += uint64(span.GetLength())
			}
			classic += uint64(len(h.GetBucket()))
		}
		if native == 0 || classic == 0 {
			p.t.Errorf("protobuf: %s has %d native and %d classic buckets", name, native, classic)
		}
	}
}

// lints has Prometheus' own tool judge the names, types and helps.
func (p *process) lints() {
	p.t.Helper()
	_, body := p.scrape("")
	command := exec.CommandContext(p.t.Context(), "promtool", "check", "metrics")
	command.Stdin = strings.NewReader(body)
	if output, err := command.CombinedOutput(); err != nil || len(output) > 0 {
		p.t.Errorf("promtool check metrics: %v\n%s", err, output)
	}
}

// showsWhatThePageNames compares what is shown with what operations.md names; labels hold words of ours alone.
func (p *process) showsWhatThePageNames() {
	p.t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		p.t.Fatal(err)
	}
	shown := p.families(inProtobuf)
	for name := range shown {
		if strings.HasPrefix(name, "belpoort_") && !bytes.Contains(page, []byte("`"+name+"`")) {
			p.t.Errorf("operations.md does not name %s", name)
		}
	}
	// These have no sample before a file changed, a campaign was suspended, TLS was switched on, and so on.
	later := []string{
		"belpoort_file_reloads_total", "belpoort_campaign_suspended", "belpoort_ivr_unknown_digits_total", "belpoort_offer_debts",
		"belpoort_certificate_expiry_timestamp_seconds",
	}
	for _, found := range regexp.MustCompile("`(belpoort_[a-z_]+)`").FindAllStringSubmatch(string(page), -1) {
		if name := found[1]; shown[name] == nil && !slices.Contains(later, name) && !strings.HasPrefix(name, "belpoort_drill_") {
			p.t.Errorf("operations.md names %s, which is not shown", name)
		}
	}
	for name, family := range shown {
		for _, one := range family.GetMetric() {
			for _, label := range one.GetLabel() {
				if strings.HasPrefix(name, "belpoort_") && regexp.MustCompile(`[0-9]{6}|[0-9a-f]{32}`).MatchString(label.GetValue()) && label.GetName() != "law_version" {
					p.t.Errorf("%s: the label %s is %q", name, label.GetName(), label.GetValue())
				}
			}
		}
	}
}
