package ops

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
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
	m.Decided(1, 1, 3*time.Millisecond)
	m.Decided(2, 3, time.Millisecond)
	m.Decided(99, -1, time.Millisecond)
	m.Took(StageLedger, time.Millisecond)
	m.CacheHit()
	m.CacheMiss()
	m.CacheMiss()
	m.Repeated()
	m.Panicked()
	m.Appended("written", 7)
	m.Answered("/belpoort.v1.GatekeeperService/CheckCall", "OK")
	m.Reloaded("keys", errors.New("bad"))
	m.JournalLag(func() (uint64, time.Duration) { return 5, 1500 * time.Millisecond })
	_, body := get(t, m.Handler(nil, nil), "GET", "/metrics")
	for _, line := range []string{
		`belpoort_checks_total{verdict="ALLOW"} 1`,
		`belpoort_checks_total{verdict="DENY"} 1`,
		`belpoort_checks_total{verdict="UNSPECIFIED"} 1`,
		`belpoort_check_reasons_total{reason="OBJECTED"} 1`,
		`belpoort_check_duration_seconds_count{verdict="ALLOW"} 1`,
		`belpoort_check_duration_seconds_bucket{verdict="ALLOW",le="0.0025"} 0`,
		`belpoort_check_duration_seconds_bucket{verdict="ALLOW",le="0.005"} 1`,
		`belpoort_check_stage_duration_seconds_count{stage="ledger"} 1`,
		`belpoort_cache_lookups_total{result="hit"} 1`,
		`belpoort_cache_lookups_total{result="miss"} 2`,
		`belpoort_checks_repeated_total 1`,
		`belpoort_panics_total 1`,
		`belpoort_ledger_facts_total{result="written"} 7`,
		`belpoort_requests_total{code="OK",method="/belpoort.v1.GatekeeperService/CheckCall"} 1`,
		`belpoort_file_reloads_total{file="keys",result="failed"} 1`,
		`belpoort_journal_lag_records 5`,
		`belpoort_journal_lag_seconds 1.5`,
		`belpoort_build_info{go_version="",law_version="abc",version="v1"} 1`,
		`process_open_fds`,
	} {
		if !strings.Contains(body, line) {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

func TestACheckAllocatesNothing(t *testing.T) {
	m := New(words(), Build{})
	if n := testing.AllocsPerRun(100, func() {
		m.Decided(1, 1, time.Millisecond)
		m.Took(StageDecide, time.Microsecond)
		m.CacheHit()
	}); n != 0 {
		t.Errorf("counting a check allocates %v times", n)
	}
}

func TestPagesFollowTheState(t *testing.T) {
	var state error
	h := New(words(), Build{}).Handler(func() error { return nil }, func() error { return state })
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
	if code, _ := get(t, h, "GET", "/debug/pprof/"); code != 404 {
		t.Errorf("/debug/pprof/ = %d", code)
	}
}
