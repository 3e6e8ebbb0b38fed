package server

import (
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
)

// More checks than there are places are refused at once; objections have places of their own, and when the checks are
// through there is room again.
func TestTooManyChecksAreShed(t *testing.T) {
	const places = 4
	n := startNode(t, func(c *Config) { c.Checks = places })
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	hold, held := make(chan struct{}), make(chan struct{}, places)
	n.breakJournal(func(operation string) error {
		if operation == "Append" {
			held <- struct{}{}
			<-hold
		}
		return nil
	})
	var waiting sync.WaitGroup
	for range places {
		waiting.Go(func() { n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent) })
	}
	for range places {
		<-held
	}
	_, err := n.check("dialer-acme", checkOf(knownCallee))
	wantError(t, "one too many", err, codes.ResourceExhausted, ReasonOverloaded, "")
	if _, err := n.object("ivr-acme", objectionOf("06-12345670", "o")); err != nil {
		t.Errorf("an objection beside too many checks: %v", err)
	}
	close(hold)
	waiting.Wait()
	n.breakJournal(func(string) error { return nil })
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
	if n.metric("belpoort_checks_shed_total") != 1 {
		t.Error("the check that was shed was not counted")
	}
}
