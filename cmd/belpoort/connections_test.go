package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// connectIdly opens many connections that say nothing.
func connectIdly(t *testing.T, to string, many int) {
	t.Helper()
	for range many {
		conn, err := net.DialTimeout("tcp", to, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
}

// A thousand connections that say nothing, at every door at once, are more than it holds: they keep no newcomer out, and
// cut off nobody who asks. The mutant mutant_connections_unbounded must fail here.
func TestIdleConnectionsAreBounded(t *testing.T) {
	const most = 100
	p := serveIn(t, filepath.Join(t.TempDir(), "data"), "--connections", fmt.Sprint(most))
	p.stock()
	steady := belpoortv1.NewGatekeeperServiceClient(p.dial())
	ask := func() error {
		_, err := steady.CheckCall(contextWithTimeout(t, 5*time.Second), &belpoortv1.CheckCallRequest{Callee: allowedNumber, Campaign: "volt", CallerId: shownNumber})
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	asking, stop := context.WithCancel(t.Context())
	var asked atomic.Int64
	ended := make(chan error, 1)
	go func() {
		for asking.Err() == nil {
			if err := ask(); err != nil {
				ended <- err
				return
			}
			asked.Add(1)
			time.Sleep(20 * time.Millisecond)
		}
		ended <- nil
	}()
	for _, to := range []string{p.grpc, p.http, p.ops} {
		connectIdly(t, to, 1000)
	}
	time.Sleep(1500 * time.Millisecond) // then they have been silent for long enough to make room
	for range 10 {
		if code, answer := p.check(allowedNumber); code != exitOK {
			t.Errorf("a new client over gRPC: exit %d: %v", code, answer)
		}
		p.askTwice(t, "", "")
		newcomer := &http.Transport{}
		t.Cleanup(newcomer.CloseIdleConnections)
		answer, err := (&http.Client{Transport: newcomer}).Get("http://" + p.ops + "/readyz")
		if err != nil {
			t.Fatalf("a new client of --ops: %v", err)
		}
		answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Errorf("a new client of --ops: %s", answer.Status)
		}
	}
	stop()
	if err := <-ended; err != nil || asked.Load() < 10 {
		t.Errorf("the client that asked all the time: %v after %d answers", err, asked.Load())
	}
	for _, listener := range []string{"grpc", "http", "ops"} {
		held := p.sample(`belpoort_connections{listener="` + listener + `"}`)
		quiet := p.sample(`belpoort_connections_closed_total{cause="quiet",listener="` + listener + `"}`)
		full := p.sample(`belpoort_connections_closed_total{cause="full",listener="` + listener + `"}`)
		if held < 1 || held > most || quiet == 0 || full+quiet < 800 {
			t.Errorf("%s holds %v connections, closed %v that were quiet and %v that came", listener, held, quiet, full)
		}
	}
}

// Connections that spoke gRPC once and then fell idle are bounded too: with as many as there may be, the first are told to
// come again, which their clients do by themselves.
func TestIdleDialersMakeRoom(t *testing.T) {
	const most = 20
	p := serveIn(t, filepath.Join(t.TempDir(), "data"), "--connections", fmt.Sprint(most))
	p.stock()
	var idle []*grpc.ClientConn
	for range most {
		conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.Connect()
		idle = append(idle, conn)
	}
	for _, conn := range idle {
		for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
			if !conn.WaitForStateChange(contextWithTimeout(t, 20*time.Second), state) {
				t.Fatalf("a client of those that there is room for is %s", state)
			}
		}
	}
	code, out := p.cli("check", allowedNumber, "--campaign", "volt", "--caller-id", shownNumber, "--timeout", "2s")
	if code != exitUnavailable || strings.Contains(out, "ALLOW") {
		t.Errorf("all places are taken by clients that were heard just now: exit %d: %s", code, out)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		if code, _ := p.cli("check", allowedNumber, "--campaign", "volt", "--caller-id", shownNumber); code == exitOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("idle clients keep a new one out for good")
		}
	}
	client := belpoortv1.NewGatekeeperServiceClient(p.dial())
	if _, err := client.CheckCall(contextWithTimeout(t, 60*time.Second), &belpoortv1.CheckCallRequest{Callee: allowedNumber, Campaign: "volt", CallerId: shownNumber}, grpc.WaitForReady(true)); err != nil {
		t.Error(err)
	}
}
