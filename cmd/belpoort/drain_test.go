package main

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// A stop under load answers every request that reached the service; what fails never left its client.
func TestAStopUnderLoadLosesNoRequest(t *testing.T) {
	p := stocked(t)
	var answered atomic.Int64
	var all sync.WaitGroup
	begun := make(chan struct{}, 16)
	for range cap(begun) {
		client := belpoortv1.NewGatekeeperServiceClient(p.dial())
		all.Go(func() {
			for first := true; ; first = false {
				answer, err := client.CheckCall(contextWithTimeout(t, 20*time.Second), &belpoortv1.CheckCallRequest{
					Callee: allowedNumber, Campaign: "volt", CallerId: shownNumber,
				})
				if err != nil {
					if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "connection refused") {
						t.Errorf("lost after it was sent: %v", err)
					}
					return
				}
				if answer.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
					t.Errorf("got %v", answer)
				}
				answered.Add(1)
				if first {
					begun <- struct{}{}
				}
			}
		})
	}
	for range cap(begun) {
		<-begun
	}
	for deadline := time.Now().Add(5 * time.Second); answered.Load() < 500 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	before := answered.Load()
	asked := time.Now()
	_ = p.cmd.Process.Signal(os.Interrupt)
	all.Wait()
	p.stop()
	if stopped := time.Since(asked); stopped > drainTime+shipTime+leaveTime {
		t.Errorf("the stop took %v", stopped)
	}
	again := serveIn(t, p.data)
	out := again.must("explain", allowedNumber, "--campaign", "volt", "--caller-id", shownNumber)
	if !strings.Contains(out, "ALLOW") {
		t.Errorf("after the stop: %s", out)
	}
	t.Logf("%d requests answered, %d of them after the signal", answered.Load(), answered.Load()-before)
}
