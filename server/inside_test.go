package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// What comes from within the process is known, bounded and counted like what comes over the network.
func TestTheWayInsideMeetsTheSameGuards(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c", "acme"), "r1")
	inside := belpoortv1.NewGatekeeperServiceClient(n.Inside())
	_, err := inside.CheckCall(t.Context(), checkOf(callee))
	wantError(t, "without a key", err, codes.Unauthenticated, ReasonKeyMissing, "")
	_, err = inside.CheckCall(n.as("ivr-acme"), checkOf(callee))
	wantError(t, "without the role", err, codes.PermissionDenied, ReasonRoleForbidden, "")
	_, err = inside.CheckCall(n.as("dialer-globex"), checkOf(callee))
	wantError(t, "for another organisation", err, codes.PermissionDenied, ReasonOrganisationForbidden, "campaign")
	long := checkOf(callee)
	long.Person = strings.Repeat("x", maxMessage)
	if _, err := inside.CheckCall(n.as("dialer-acme"), long); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("too long a message: %v", err)
	}
	answer, err := inside.CheckCall(n.as("dialer-acme"), checkOf(callee))
	if err != nil {
		t.Fatal(err)
	}
	n.wants(answer, eligibility.Allow, eligibility.OKConsent)
	if got := n.metric(`belpoort_requests_total{code="OK",method="/belpoort.v1.GatekeeperService/CheckCall"}`); got != 1 {
		t.Errorf("%v requests counted", got)
	}
}

func TestAStopLetsRequestsFromInsideFinish(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c", "acme"), "r1")
	reading, release := make(chan struct{}), make(chan struct{})
	n.breakLedger(func(operation string) error {
		if operation == "Facts" {
			close(reading)
			<-release
		}
		return nil
	})
	inside := belpoortv1.NewGatekeeperServiceClient(n.Inside())
	answered := make(chan error, 1)
	go func() {
		answer, err := inside.CheckCall(n.as("dialer-acme"), checkOf(callee))
		if err == nil {
			n.wants(answer, eligibility.Allow, eligibility.OKConsent)
		}
		answered <- err
	}()
	<-reading
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- n.Stop(ctx)
	}()
	for n.Ready() == nil {
		time.Sleep(time.Millisecond)
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("under way when the stop began: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := inside.CheckCall(n.as("dialer-acme"), checkOf(callee)); err == nil {
		t.Error("answered after the stop")
	}
}
