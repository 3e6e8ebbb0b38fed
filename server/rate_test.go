package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
)

func TestARateAdmitsASecondsWorthAndThenItsPace(t *testing.T) {
	r := rates{due: map[string]time.Duration{}}
	admitted := func(client string, asked int, now time.Duration) (n int) {
		for range asked {
			if r.admit(client, 10, now) {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		client string
		now    time.Duration
		want   int
	}{{"a", 0, 10}, {"a", 50 * time.Millisecond, 0}, {"b", 50 * time.Millisecond, 10}, {"a", 350 * time.Millisecond, 3}, {"a", time.Hour, 10}} {
		if n := admitted(step.client, 50, step.now); n != step.want {
			t.Errorf("%s at %v: %d admitted, want %d", step.client, step.now, n, step.want)
		}
	}
	if !r.admit("a", 0, time.Hour) {
		t.Error("a key without a rate is limited")
	}
}

// A key that asks too fast is refused, alone, and its objections are taken all the same. The mutant mutant_any_rate must
// fail here.
func TestAKeyIsKeptToItsRate(t *testing.T) {
	limited := testClients["dialer-acme"]
	testClients["dialer-acme"] = strings.Replace(limited, "roles:", "rate: 3, roles:", 1)
	t.Cleanup(func() { testClients["dialer-acme"] = limited })
	n := startNode(t, func(c *Config) { c.Uptime = func() time.Duration { return time.Hour } })
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	for range 3 {
		n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
	}
	_, err := n.check("dialer-acme", checkOf(knownCallee))
	wantError(t, "the fourth in a second", err, codes.ResourceExhausted, ReasonRateLimited, "")
	if _, err := n.object("dialer-acme", objectionOf("06-12345670", "o")); err != nil {
		t.Errorf("an objection of a key that asks too fast: %v", err)
	}
	if answer, err := n.check("dialer-all", checkOf(knownCallee)); err != nil {
		t.Errorf("another key: %v, %v", answer, err)
	}
	if n.metric("belpoort_checks_rate_limited_total") != 1 {
		t.Error("the refusal was not counted")
	}
}
