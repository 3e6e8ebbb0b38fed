package ops

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

func words() Words {
	return Words{Verdicts: []string{"UNSPECIFIED", "ALLOW", "DENY"}, Reasons: []string{"UNSPECIFIED", "OK_CONSENT", "", "OBJECTED"}}
}

func get(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

func TestFiguresAreShown(t *testing.T) {
	m := New(words(), Build{Version: "v1", LawVersion: "abc"})
	m.Decided(Decided{Verdict: 1, Reason: 1, Door: DoorGRPC, Campaign: "volt", Took: 3 * time.Millisecond})
	m.Decided(Decided{Verdict: 2, Reason: 3, Door: "plain", Campaign: "volt", Took: time.Millisecond})
	m.Decided(Decided{Verdict: 99, Reason: -1, Door: DoorGRPC, Took: time.Millisecond})
	m.Took(StageLedger, 15*time.Microsecond)
	m.CacheHit()
	m.CacheMiss()
	m.CacheMiss()
	m.Repeated()
	m.Panicked()
	m.Appended("written", 7)
	m.AppendTook(time.Millisecond)
	m.Imported("rejected", 2)
	m.InEffect(2 * time.Minute)
	m.Synced(time.Millisecond)
	m.Answered("/belpoort.v1.GatekeeperService/CheckCall", "OK", true, time.Millisecond)
	m.Reloaded("keys", errors.New("bad"))
	m.LawInForce("def")
	m.Count("belpoort_things_total", "Things.", func() float64 { return 4 }, "cause", "x")
	m.JournalLag(func() (uint64, time.Duration) { return 5, 1500 * time.Millisecond })
	m.JournalGroups(func() ([]uint64, uint64) { return []uint64{2, 1}, 5 })
	_, body := get(t, m.Handler(Pages{}), "GET", "/metrics")
	for _, line := range []string{
		`belpoort_checks_total{door="grpc",verdict="ALLOW"} 1`,
		`belpoort_checks_total{door="plain",verdict="DENY"} 1`,
		`belpoort_checks_total{door="grpc",verdict="UNSPECIFIED"} 1`,
		`belpoort_check_reasons_total{reason="OBJECTED"} 1`,
		`belpoort_campaign_checks_total{campaign="volt",verdict="DENY"} 1`,
		`belpoort_check_duration_seconds_count{door="grpc",verdict="ALLOW"} 1`,
		`belpoort_check_duration_seconds_bucket{door="grpc",verdict="ALLOW",le="0.0025"} 0`,
		`belpoort_check_duration_seconds_bucket{door="grpc",verdict="ALLOW",le="0.005"} 1`,
		`belpoort_check_stage_duration_seconds_bucket{stage="ledger",le="1e-05"} 0`,
		`belpoort_check_stage_duration_seconds_bucket{stage="ledger",le="2.5e-05"} 1`,
		`belpoort_check_stage_duration_seconds_bucket{stage="ledger",le="1"} 1`,
		`belpoort_cache_lookups_total{result="hit"} 1`,
		`belpoort_cache_lookups_total{result="miss"} 2`,
		`belpoort_checks_repeated_total 1`,
		`belpoort_panics_total 1`,
		`belpoort_ledger_facts_total{result="written"} 7`,
		`belpoort_ledger_append_duration_seconds_count 1`,
		`belpoort_imported_facts_total{result="rejected"} 2`,
		`belpoort_objection_effect_seconds_bucket{le="60"} 0`,
		`belpoort_objection_effect_seconds_bucket{le="600"} 1`,
		`belpoort_journal_fsync_duration_seconds_count 1`,
		`belpoort_requests_total{code="OK",method="/belpoort.v1.GatekeeperService/CheckCall"} 1`,
		`belpoort_request_duration_seconds_count{method="/belpoort.v1.GatekeeperService/CheckCall"} 1`,
		`belpoort_file_reloads_total{file="keys",result="failed"} 1`,
		`belpoort_journal_lag_records 5`,
		`belpoort_journal_lag_seconds 1.5`,
		`belpoort_journal_group_records_bucket{le="1"} 2`,
		`belpoort_journal_group_records_bucket{le="3"} 3`,
		`belpoort_journal_group_records_sum 5`,
		`belpoort_things_total{cause="x"} 4`,
		`belpoort_build_info{go_version="",version="v1"} 1`,
		`belpoort_law_info{law_version="def"} 1`,
		`process_open_fds`,
	} {
		if !strings.Contains(body, "\n"+line) {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if strings.Contains(body, "abc") {
		t.Error("the law that is no longer in force is shown")
	}
}

// A scraper that can read them gets native histograms, which no text form has; one that asks for nonsense gets text.
func TestTheFormOfMetricsFollowsTheAsker(t *testing.T) {
	m := New(words(), Build{})
	m.Took(StageLedger, 15*time.Microsecond)
	for accept, want := range map[string]struct {
		form   expfmt.FormatType
		native bool
	}{
		"": {expfmt.TypeTextPlain, false}, "nonsense;;q=x,/": {expfmt.TypeTextPlain, false},
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": {expfmt.TypeProtoDelim, true},
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		m.Handler(Pages{}).ServeHTTP(w, r)
		form := expfmt.ResponseFormat(w.Header())
		if w.Code != 200 || form.FormatType() != want.form {
			t.Errorf("Accept %q: %d %s", accept, w.Code, form)
			continue
		}
		decoder, native := expfmt.NewDecoder(w.Body, form), false
		for {
			var family dto.MetricFamily
			if err := decoder.Decode(&family); err != nil {
				break
			}
			if family.GetName() == "belpoort_check_stage_duration_seconds" {
				for _, one := range family.GetMetric() {
					native = native || len(one.GetHistogram().GetPositiveSpan()) > 0
				}
			}
		}
		if native != want.native {
			t.Errorf("Accept %q: native histograms: %v", accept, native)
		}
	}
}

func TestACheckAllocatesNothing(t *testing.T) {
	m := New(words(), Build{})
	one := Decided{Verdict: 2, Reason: 1, Door: DoorGRPC, Campaign: "volt", DecisionID: "d", Took: time.Millisecond}
	if n := testing.AllocsPerRun(100, func() {
		m.Decided(one)
		m.Took(StageDecide, time.Microsecond)
		m.CacheHit()
	}); n != 0 {
		t.Errorf("counting a check allocates %v times", n)
	}
}

// However many campaigns and doors there are, the exposition stays small.
func TestLabelsAreBounded(t *testing.T) {
	m := New(words(), Build{})
	for i := range 10 * maxCampaigns {
		m.Decided(Decided{Verdict: 1, Reason: 1, Door: fmt.Sprint("door", i), Campaign: fmt.Sprint("campaign", i)})
	}
	for i := range 10 * maxMenus {
		m.UnknownDigit(fmt.Sprint("menu", i))
	}
	_, body := get(t, m.Handler(Pages{}), "GET", "/metrics")
	for _, series := range []struct {
		name    string
		atMost  int
		atLeast int
	}{{"belpoort_campaign_checks_total{", (maxCampaigns + 1) * 3, maxCampaigns * 3}, {"belpoort_checks_total{", maxDoors * 3, maxDoors * 3},
		{"belpoort_ivr_unknown_digits_total{", maxMenus + 1, maxMenus}} {
		if n := strings.Count(body, "\n"+series.name); n > series.atMost || n < series.atLeast {
			t.Errorf("%d series %s", n, series.name)
		}
	}
	if !strings.Contains(body, fmt.Sprintf(`{campaign="(other)",verdict="ALLOW"} %d`, 9*maxCampaigns)) {
		t.Error("campaigns beyond the bound are not counted together")
	}
}

func TestCampaignsAreCountedForAQuarterOfAnHour(t *testing.T) {
	m := New(words(), Build{})
	now := time.Now()
	for _, ago := range []time.Duration{24 * time.Hour, 16 * time.Minute, 13 * time.Minute, 5 * time.Minute, 0} {
		m.campaigns.count("volt", 2, now.Add(-ago))
	}
	m.Decided(Decided{Verdict: 1, Reason: 1, Campaign: "volt"})
	m.Decided(Decided{Verdict: 2, Reason: 1, Campaign: "air"})
	if got := m.CampaignCalls(); len(got) != 2 || got[0] != (CampaignCalls{"air", 0, 1}) || got[1].Allowed != 1 || got[1].Refused != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestTheLatestRefusalsAreKept(t *testing.T) {
	m := New(words(), Build{})
	m.Decided(Decided{Verdict: 1, Reason: 1, DecisionID: "allowed"})
	m.Decided(Decided{Verdict: 2, Reason: 3})
	if got := m.LatestRefusals(); len(got) != 0 {
		t.Errorf("an ALLOW or a dry run is among the refusals: %v", got)
	}
	for i := range keptRefusals + 3 {
		m.Decided(Decided{Verdict: 2, Reason: 3, DecisionID: fmt.Sprint("d", i), Campaign: "volt"})
	}
	got := m.LatestRefusals()
	if len(got) != keptRefusals || got[0].DecisionID != fmt.Sprint("d", keptRefusals+2) || got[keptRefusals-1].DecisionID != "d3" ||
		got[0].Reason != "OBJECTED" || got[0].Verdict != "DENY" {
		t.Errorf("got %v", got)
	}
}

func TestTheLastMinutesGoSecondBySecond(t *testing.T) {
	m := New(words(), Build{})
	l := m.Live()
	figure := 1.0
	l.Watch("figure", func() float64 { return figure })
	for range 98 {
		m.Decided(Decided{Verdict: 1, Reason: 1, Took: time.Millisecond})
	}
	m.Decided(Decided{Verdict: 2, Reason: 3, Took: 50 * time.Millisecond})
	m.Decided(Decided{Verdict: 2, Reason: 3, Took: time.Hour})
	m.Took(StageLedger, 2*time.Millisecond)
	m.Answered("CheckCall", "UNAVAILABLE", true, time.Second)
	m.Answered("GetCallee", "UNAVAILABLE", false, time.Second)
	m.InEffect(5 * time.Millisecond)
	_, _, next := l.Since(0)
	at := time.Unix(1000, 0)
	l.turn(at)
	select {
	case <-next:
	default:
		t.Error("nobody is told of the second")
	}
	seconds, count, _ := l.Since(0)
	s := seconds[0]
	about := func(us, want int64) bool { return us > want*98/100 && us < want*102/100 }
	if len(seconds) != 1 || count != 1 || s.At != 1000 || s.Checks.Count != 100 || !about(s.Checks.P50, 1000) || !about(s.Checks.P99, 50_000) ||
		!about(s.Checks.Max, 100_000_000) || s.Verdicts["ALLOW"] != 98 || s.Verdicts["DENY"] != 2 || s.Reasons["OBJECTED"] != 2 ||
		s.Failed != 1 || s.Stages["ledger"].Count != 1 || s.Effects.Count != 1 || s.Figures["figure"] != 1 {
		t.Errorf("got %+v", s)
	}
	for i := range LiveSeconds {
		l.turn(at.Add(time.Duration(i+1) * time.Second))
	}
	seconds, count, _ = l.Since(0)
	if len(seconds) != LiveSeconds || count != LiveSeconds+1 || seconds[0].At != 1001 || seconds[0].Checks.Count != 0 || seconds[LiveSeconds-1].At != 1000+LiveSeconds {
		t.Errorf("%d seconds of %d, %+v", len(seconds), count, seconds[0])
	}
	if seconds, _, _ = l.Since(count - 2); len(seconds) != 2 {
		t.Errorf("%d seconds, want the last two", len(seconds))
	}
}

func TestPagesFollowTheState(t *testing.T) {
	var state error
	level, health := Works, &Health{}
	health.Add("ledger", func() (Level, string) { return level, "" })
	health.Add("redis", func() (Level, string) { return Degraded, "not used" })
	h := New(words(), Build{}).Handler(Pages{Live: func() error { return nil }, Ready: func() error { return state }, Health: health})
	if code, body := get(t, h, "GET", "/readyz"); code != 200 || body != "ok\n" {
		t.Errorf("/readyz = %d %q", code, body)
	}
	state = errors.New("the self-test has not passed")
	if code, body := get(t, h, "GET", "/readyz"); code != 503 || body != "the self-test has not passed\n" {
		t.Errorf("/readyz = %d %q", code, body)
	}
	if code, _ := get(t, h, "GET", "/livez"); code != 200 {
		t.Errorf("/livez = %d", code)
	}
	if code, _ := get(t, h, "POST", "/readyz"); code != 405 {
		t.Errorf("POST /readyz = %d", code)
	}
	if code, _ := get(t, h, "GET", "/debug/pprof/heap"); code != 200 {
		t.Errorf("/debug/pprof/heap = %d", code)
	}
	if code, _ := get(t, h, "GET", "/debug/pprof/cmdline"); code != 404 {
		t.Errorf("/debug/pprof/cmdline = %d", code)
	}
	state = nil
	line := regexp.MustCompile(`(?m)^ledger +(\w+) +since (\S+)  $`)
	_, body := get(t, h, "GET", "/readyz?verbose")
	before := line.FindStringSubmatch(body)
	if before == nil || before[1] != "ok" || !strings.Contains(body, "not used\n") || !strings.HasSuffix(body, "\nok\n") {
		t.Fatalf("/readyz?verbose:\n%s", body)
	}
	health.parts[0].now.Since = time.Unix(0, 0)
	if _, body = get(t, h, "GET", "/readyz?verbose"); !strings.Contains(body, "1970-01-01T00:00:00Z") {
		t.Errorf("without a change another since is told:\n%s", body)
	}
	level = Down
	code, body := get(t, h, "GET", "/readyz?verbose")
	after := line.FindStringSubmatch(body)
	if code != 200 || after == nil || after[1] != "down" || strings.Contains(body, "1970-01-01") {
		t.Errorf("after a change: %d\n%s", code, body)
	}
}
