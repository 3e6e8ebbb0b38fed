package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// beCrowd makes the test binary a crowd of callers, so that the figures of a process beside it are not those of its own crowd.
const beCrowd = "BELPOORT_TEST_BE_CROWD"

// crowd is callers in a process of their own, who each ask again as soon as they are answered, or after the pause that a
// refusal for want of room asks for.
type crowd struct {
	Address, Key     string
	Callers, Callees int
	Length           time.Duration
}

// heard is what a crowd was answered.
type heard struct {
	Decided, Shed, Failed int
	Length                time.Duration
	Took, ShedAfter       []time.Duration // sorted
	Failure               string          // one of them
}

func (h *heard) rate() float64 { return float64(h.Decided) / h.Length.Seconds() }

func (h *heard) String() string {
	return fmt.Sprintf("%.0f decided/s, p50 %v, p99 %v; %d shed, p50 %v, p99 %v; %d failed %s", h.rate(), partOf(h.Took, .5), partOf(h.Took, .99),
		h.Shed, partOf(h.ShedAfter, .5), partOf(h.ShedAfter, .99), h.Failed, h.Failure)
}

func partOf(sorted []time.Duration, of float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(of*float64(len(sorted)-1))].Round(10 * time.Microsecond)
}

// run has the crowd ask in a process of its own, and returns what it heard.
func (c crowd) run(t *testing.T) *heard {
	t.Helper()
	said, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "nice", "-n", "10", os.Args[0]) // callers have machines of their own elsewhere
	cmd.Env = append(os.Environ(), beCrowd+"="+string(said))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the crowd: %v", err)
	}
	var h heard
	if err := json.Unmarshal(out, &h); err != nil {
		t.Fatalf("the crowd said %q: %v", out, err)
	}
	return &h
}

// crowdMain is the crowd's process.
func crowdMain(said string) {
	var c crowd
	if err := json.Unmarshal([]byte(said), &c); err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(c.ask()); err != nil {
		panic(err)
	}
}

// connections is how many a crowd has: one takes 256 requests at a time.
const connections = 8

func (c crowd) ask() *heard {
	ctx, cancel := context.WithTimeout(context.Background(), c.Length)
	defer cancel()
	var desks [connections]belpoortv1.GatekeeperServiceClient
	for i := range desks {
		conn, err := grpc.NewClient(c.Address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(bearer(c.Key)))
		if err != nil {
			panic(err)
		}
		desks[i] = belpoortv1.NewGatekeeperServiceClient(conn)
	}
	each := make([]heard, c.Callers)
	var all sync.WaitGroup
	for i := range each {
		all.Go(func() { each[i].keepAsking(ctx, desks[i%connections], c.Callees) })
	}
	all.Wait()
	return together(each, c.Length)
}

func (h *heard) keepAsking(ctx context.Context, desk belpoortv1.GatekeeperServiceClient, callees int) {
	for ctx.Err() == nil {
		asked := time.Now()
		_, err := desk.CheckCall(context.Background(), voltCall(subject(rand.IntN(callees))))
		took := time.Since(asked)
		switch {
		case err == nil:
			h.Took = append(h.Took, took)
			continue
		case status.Code(err) == codes.ResourceExhausted:
			h.ShedAfter = append(h.ShedAfter, took)
		default:
			h.Failed, h.Failure = h.Failed+1, err.Error()
		}
		pause := time.NewTimer(200*time.Millisecond + rand.N(100*time.Millisecond)) // about what the service asks for
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

func together(each []heard, length time.Duration) *heard {
	h := &heard{Length: length}
	for i := range each {
		h.Took, h.ShedAfter = append(h.Took, each[i].Took...), append(h.ShedAfter, each[i].ShedAfter...)
		h.Failed += each[i].Failed
		if each[i].Failure != "" {
			h.Failure = each[i].Failure
		}
	}
	h.Decided, h.Shed = len(h.Took), len(h.ShedAfter)
	slices.Sort(h.Took)
	slices.Sort(h.ShedAfter)
	return h
}
