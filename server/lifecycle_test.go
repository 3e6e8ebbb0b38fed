package server

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func (n *node) healthOf(service string) healthv1.HealthCheckResponse_ServingStatus {
	n.t.Helper()
	answer, err := n.health.Check(n.t.Context(), &healthv1.HealthCheckRequest{Service: service})
	if err != nil {
		n.t.Fatal(err)
	}
	return answer.GetStatus()
}

func TestHealthIsRedUntilTheSelfTestPassed(t *testing.T) {
	n := newNode(t, t.TempDir(), nil)
	for _, service := range []string{"", "belpoort.v1.GatekeeperService", "belpoort.v1.ObjectionService"} {
		if got := n.healthOf(service); got != healthv1.HealthCheckResponse_NOT_SERVING {
			t.Errorf("%q before the self-test: %v", service, got)
		}
	}
	_, err := (&gatekeeper{s: n.Server}).CheckCall(t.Context(), checkOf(callee))
	wantError(t, "before the self-test", err, codes.Unavailable, ReasonNotServing, "")
	if n.Ready() == nil {
		t.Error("ready before the self-test")
	}
	n.start()
	if got := n.healthOf("belpoort.v1.GatekeeperService"); got != healthv1.HealthCheckResponse_SERVING || n.Ready() != nil {
		t.Errorf("after the self-test: %v, %v", got, n.Ready())
	}
	answer, err := healthv1.NewHealthClient(n.conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health without a key: %v, %v", answer, err)
	}
}

func TestAWrongLawKeepsTheServerRed(t *testing.T) {
	for name, change := range map[string]func(*eligibility.Law){
		"customer under the new law": func(l *eligibility.Law) {
			l.Regimes[0].Until, l.Regimes = eligibility.Never, l.Regimes[:1]
		},
		"before any law": func(l *eligibility.Law) { l.Regimes[0].From = 0 },
	} {
		wrong := *dutchLaw()
		wrong.Regimes = append([]eligibility.Regime(nil), wrong.Regimes...)
		change(&wrong)
		n := newNode(t, t.TempDir(), func(c *Config) { c.Law = &wrong })
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Start(listener); err == nil || !strings.Contains(err.Error(), "self-test: "+name) {
			t.Errorf("%s: %v", name, err)
		}
		if n.healthOf("") != healthv1.HealthCheckResponse_NOT_SERVING || n.Ready() == nil {
			t.Errorf("%s: green", name)
		}
		if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
			conn.Close()
			t.Errorf("%s: still listening", name)
		}
	}
}

func TestAStopFinishesWhatIsUnderWay(t *testing.T) {
	n := newNode(t, t.TempDir(), nil)
	n.start()
	n.apply(testCatalogue())
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	reading, release := make(chan struct{}), make(chan struct{})
	n.breakLedger(func(operation string) error {
		if operation == "Facts" {
			close(reading)
			<-release
		}
		return nil
	})
	watch, err := healthv1.NewHealthClient(n.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	seen := func(want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if got, err := watch.Recv(); err != nil || got.GetStatus() != want {
			t.Errorf("health: %v, %v, want %v", got, err, want)
		}
	}
	seen(healthv1.HealthCheckResponse_SERVING)
	answered := make(chan *belpoortv1.CheckCallResponse, 1)
	go func() {
		answer, err := n.check("dialer-acme", checkOf(callee))
		if err != nil {
			t.Error(err)
		}
		answered <- answer
	}()
	<-reading
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		stopped <- n.Stop(ctx)
	}()
	seen(healthv1.HealthCheckResponse_NOT_SERVING)
	close(release)
	n.wants(<-answered, eligibility.Allow, eligibility.OKConsent)
	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) { // the health watch never ends by itself
		t.Error(err)
	}
}

// What reached the service before its client knew of the stop is answered. The mutant mutant_stop_refuses must fail here.
func TestAStopAnswersWhatStillComes(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	reading, release := make(chan struct{}), make(chan struct{})
	n.breakLedger(func(operation string) error {
		if operation == "Facts" {
			close(reading)
			<-release
		}
		return nil
	})
	answered, stopped := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := n.check("dialer-acme", checkOf(callee))
		answered <- err
	}()
	<-reading
	go func() { stopped <- n.Stop(context.Background()) }()
	for deadline := time.Now().Add(10 * time.Second); n.Ready() == nil && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	ctx := context.WithValue(t.Context(), clientKey{}, &client{id: "late", everybody: true})
	answer, err := (&gatekeeper{s: n.Server}).CheckCall(ctx, checkOf("112"))
	if err != nil {
		t.Errorf("a check during the stop: %v", err)
	} else {
		n.wants(answer, eligibility.Deny, eligibility.CalleeInvalid)
	}
	close(release)
	if err := errors.Join(<-answered, <-stopped); err != nil {
		t.Error(err)
	}
}

func TestAStopIsBounded(t *testing.T) {
	n := newNode(t, t.TempDir(), nil)
	n.start()
	n.apply(testCatalogue())
	reading := make(chan struct{})
	release := make(chan struct{})
	n.breakLedger(func(operation string) error {
		if operation == "Facts" {
			close(reading)
			<-release
		}
		return nil
	})
	answered := make(chan error, 1)
	go func() {
		_, err := n.check("dialer-acme", checkOf(callee))
		answered <- err
	}()
	<-reading
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop(ctx) }()
	if err := <-answered; err == nil || status.Code(err) == codes.OK {
		t.Errorf("cut off: %v", err)
	}
	close(release)
	if err := <-stopped; err == nil {
		t.Error("nothing was cut off")
	}
}

func TestAConfigurationThatLacksSomethingIsRefused(t *testing.T) {
	for name, take := range map[string]func(*Config){
		"Facts": func(c *Config) { c.Facts = nil }, "Journal": func(c *Config) { c.Journal = nil },
		"Keys": func(c *Config) { c.Keys = nil }, "Law": func(c *Config) { c.Law = nil },
		"ParseLaw": func(c *Config) { c.ParseLaw = nil },
	} {
		var c Config
		newNode(t, t.TempDir(), func(whole *Config) { c = *whole })
		take(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestReflectionIsOfferedOnlyWhenAsked(t *testing.T) {
	for _, asked := range []bool{false, true} {
		n := newNode(t, t.TempDir(), func(c *Config) { c.Reflection = asked })
		_, offered := n.grpc.GetServiceInfo()["grpc.reflection.v1.ServerReflection"]
		if offered != asked {
			t.Errorf("asked %v, offered %v", asked, offered)
		}
	}
}
