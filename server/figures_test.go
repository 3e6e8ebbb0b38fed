package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// testWords are the words of the verdicts and reasons.
func testWords() ops.Words {
	w := ops.Words{Verdicts: make([]string, eligibility.Defer+1), Reasons: make([]string, eligibility.Unavailable+1)}
	for v := range w.Verdicts {
		w.Verdicts[v] = eligibility.Verdict(v).String()
	}
	for r := range w.Reasons {
		if eligibility.Known(eligibility.Reason(r)) {
			w.Reasons[r] = eligibility.Reason(r).String()
		}
	}
	return w
}

// moves tells by how much figures grow while something is done.
func (n *node) moves(what string, do func(), want map[string]float64) {
	n.t.Helper()
	before := map[string]float64{}
	for line := range want {
		before[line] = n.metric(line)
	}
	do()
	for line, by := range want {
		if grown := n.metric(line) - before[line]; grown != by {
			n.t.Errorf("%s: %s grew by %v, want %v", what, line, grown, by)
		}
	}
}

// A success, a refusal, a miss, a timeout and an error can each be told from the figures. The mutant
// mutant_failure_uncounted must fail here.
func TestWhatBecomesOfAChecksIsSeenInTheFigures(t *testing.T) {
	n := startNode(t, nil)
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	const (
		allowed    = `belpoort_checks_total{door="grpc",verdict="ALLOW"}`
		denied     = `belpoort_checks_total{door="grpc",verdict="DENY"}`
		timed      = `belpoort_check_duration_seconds_count{door="grpc",verdict="ALLOW"}`
		hit        = `belpoort_cache_lookups_total{result="hit"}`
		miss       = `belpoort_cache_lookups_total{result="miss"}`
		cacheTook  = `belpoort_check_stage_duration_seconds_count{stage="cache"}`
		ledgerTook = `belpoort_check_stage_duration_seconds_count{stage="ledger"}`
		decideTook = `belpoort_check_stage_duration_seconds_count{stage="decide"}`
		journal    = `belpoort_check_stage_duration_seconds_count{stage="journal"}`
		fence      = `belpoort_check_stage_duration_seconds_count{stage="fence"}`
		method     = `,method="/belpoort.v1.GatekeeperService/CheckCall"}`
		answered   = `belpoort_requests_total{code="OK"` + method
		late       = `belpoort_requests_total{code="DeadlineExceeded"` + method
		away       = `belpoort_requests_total{code="Unavailable"` + method
		all        = `belpoort_request_duration_seconds_count{method="/belpoort.v1.GatekeeperService/CheckCall"}`
	)
	n.moves("a first success", func() { n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent) }, map[string]float64{
		allowed: 1, denied: 0, timed: 1, miss: 1, hit: 0, cacheTook: 1, ledgerTook: 1, decideTook: 1, journal: 1, fence: 2, answered: 1, all: 1,
		`belpoort_check_reasons_total{reason="OK_CONSENT"}`: 1, `belpoort_campaign_checks_total{campaign="acme-x",verdict="ALLOW"}`: 1,
	})
	n.moves("a hit", func() { n.mustCheck(knownCallee) }, map[string]float64{allowed: 1, hit: 1, miss: 0, ledgerTook: 0})
	n.moves("a refusal", func() { n.wants(n.mustCheck("06-12345670"), eligibility.Deny, eligibility.NoBasis) }, map[string]float64{
		allowed: 0, denied: 1, fence: 1, answered: 1, `belpoort_check_reasons_total{reason="NO_BASIS"}`: 1,
	})
	latest := n.metrics.LatestRefusals()
	if len(latest) == 0 || latest[0].Reason != "NO_BASIS" || latest[0].DecisionID == "" {
		t.Errorf("the refusal is not among the latest: %v", latest)
	}
	release := make(chan struct{})
	n.breakLedger(func(operation string) error { <-release; return nil })
	n.moves("a timeout", func() {
		ctx, cancel := context.WithTimeout(n.as("dialer-acme"), 250*time.Millisecond)
		defer cancel()
		_, err := belpoortv1.NewGatekeeperServiceClient(n.conn).CheckCall(ctx, checkOf("06-12345671"))
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("want a timeout, got %v", err)
		}
		for deadline := time.Now().Add(5 * time.Second); n.metric(late) == 0 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond) // the server may answer a little after the client has left
		}
	}, map[string]float64{allowed: 0, denied: 0, late: 1, all: 1})
	close(release)
	n.breakLedger(func(string) error { return errors.New("no disk") })
	n.moves("an error", func() {
		if _, err := n.check("dialer-acme", checkOf("06-12345672")); status.Code(err) != codes.Unavailable {
			t.Errorf("want UNAVAILABLE, got %v", err)
		}
	}, map[string]float64{allowed: 0, denied: 0, away: 1, answered: 0, all: 1})
}

// An objection's time to effect is measured where it is in force, and where it had to wait from then on.
func TestObjectionsAreTimedUntilTheyAreInForce(t *testing.T) {
	n := startNode(t, nil)
	const effects = `belpoort_objection_effect_seconds_count`
	n.moves("an objection", func() {
		if _, err := n.object("ivr-acme", objectionOf(knownCallee, "o")); err != nil {
			t.Fatal(err)
		}
	}, map[string]float64{effects: 1, `belpoort_ledger_append_duration_seconds_count`: 1})
	n.breakLedger(func(string) error { return errors.New("no disk") })
	n.moves("an objection that fails", func() {
		if _, err := n.object("ivr-acme", objectionOf(knownCallee, "p")); err == nil {
			t.Error("the ledger is broken, and the objection in force")
		}
	}, map[string]float64{effects: 0})
}
