package main

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/client"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/rig"
)

func (p *process) operatorKey() string {
	p.t.Helper()
	key, err := os.ReadFile(folder(p.data).operatorKey())
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(key))
}

func (p *process) goClient(deadline time.Duration, nodes ...string) *client.Client {
	p.t.Helper()
	c, err := client.Dial(client.Options{Nodes: nodes, Key: p.operatorKey(), Deadline: deadline})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

func voltCall(number string) *belpoortv1.CheckCallRequest {
	return &belpoortv1.CheckCallRequest{Callee: number, Campaign: "volt", CallerId: shownNumber}
}

// mayDial asks as a dialer does.
func mayDial(t testing.TB, c *client.Client, number string) (bool, error) {
	t.Helper()
	sentAt := time.Now()
	response, err := c.CheckCall(t.Context(), voltCall(number))
	return client.MayDial(response, err, sentAt), client.WhyNot(response, err, sentAt)
}

func TestTheGoClientAgainstTheService(t *testing.T) {
	p := stocked(t)
	c := p.goClient(client.DialWithin, p.grpc)
	sentAt := time.Now()
	response, err := c.CheckCall(t.Context(), voltCall(allowedNumber))
	if why := client.WhyNot(response, err, sentAt); why != nil {
		t.Fatalf("a consent does not allow: %v", why)
	}
	if client.MayDial(response, err, sentAt.Add(-client.DialWithin)) {
		t.Error("an ALLOW of two seconds ago may be dialed")
	}
	reported, err := c.ReportCall(t.Context(), &belpoortv1.ReportCallRequest{
		Permit: response.GetPermit(), Outcome: belpoortv1.Outcome_OUTCOME_NO_ANSWER, DialTime: timestamppb.Now(),
	})
	if err != nil || reported.GetPosition() == 0 {
		t.Errorf("report: %v %v", reported, err)
	}
	objection := &belpoortv1.RegisterObjectionRequest{
		Callee: allowedNumber, Campaign: "volt", Via: belpoortv1.Via_VIA_AGENT, RequestId: "go-1",
	}
	registered, err := c.RegisterObjection(t.Context(), objection)
	if err != nil || registered.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
		t.Fatalf("%v %v", registered, err)
	}
	if _, err := c.GetObjection(t.Context(), &belpoortv1.GetObjectionRequest{Receipt: registered.GetReceipt()}); err != nil {
		t.Errorf("the receipt: %v", err)
	}
	if may, why := mayDial(t, c, allowedNumber); may || !strings.Contains(why.Error(), "OBJECTED") {
		t.Errorf("after the objection: %v, %v", may, why)
	}
}

// A node that is gone, hangs or is slow costs a dialer a few checks, and then none while another node works.
func TestTheGoClientLeavesANodeThatFails(t *testing.T) {
	p := stocked(t)
	for name, harm := range map[string]func(*rig.Proxy){
		"dead": (*rig.Proxy).Cut, "hung": (*rig.Proxy).Hang, "slow": func(x *rig.Proxy) { x.Delay(300 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			first, second := rig.StartProxy(t, p.grpc), rig.StartProxy(t, p.grpc)
			defer first.Heal()
			c := p.goClient(200*time.Millisecond, first.Address(), second.Address())
			eventually(t, "both nodes work", func() bool { may, _ := mayDial(t, c, allowedNumber); return may })
			harm(first)
			eventually(t, "the second node is used", func() bool {
				for range 10 {
					if may, _ := mayDial(t, c, allowedNumber); !may {
						return false
					}
				}
				return true
			})
			second.Cut()
			if may, _ := mayDial(t, c, allowedNumber); may {
				t.Error("with both nodes gone a call may be dialed")
			}
		})
	}
}

// crossroads passes checks on to a service, fails and delays some as it is told, and counts what comes.
type crossroads struct {
	belpoortv1.UnimplementedGatekeeperServiceServer
	onward  belpoortv1.GatekeeperServiceClient
	address string
	asked   atomic.Int64
	failing atomic.Int64 // of 100
	delay   atomic.Int64 // at most, in nanoseconds
	steady  atomic.Bool  // always the most
}

func (x *crossroads) CheckCall(ctx context.Context, req *belpoortv1.CheckCallRequest) (*belpoortv1.CheckCallResponse, error) {
	x.asked.Add(1)
	if most := x.delay.Load(); most > 0 {
		wait := most
		if !x.steady.Load() {
			wait = rand.Int64N(most)
		}
		select {
		case <-time.After(time.Duration(wait)):
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	if rand.Int64N(100) < x.failing.Load() {
		return nil, status.Error(codes.Unavailable, "this one fails")
	}
	return x.onward.CheckCall(ctx, req)
}

func (p *process) crossroads() *crossroads {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	x := &crossroads{onward: belpoortv1.NewGatekeeperServiceClient(p.dial()), address: l.Addr().String()}
	s := grpc.NewServer()
	belpoortv1.RegisterGatekeeperServiceServer(s, x)
	go func() { _ = s.Serve(l) }()
	p.t.Cleanup(s.Stop)
	return x
}

// burst asks so many checks from several goroutines, and counts those that may be dialed.
func burst(t *testing.T, c *client.Client, checks int) (allowed int64) {
	t.Helper()
	var left, may atomic.Int64
	left.Store(int64(checks))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if ok, _ := mayDial(t, c, allowedNumber); ok {
					may.Add(1)
				}
			}
		})
	}
	all.Wait()
	return may.Load()
}

// Where every answer of the first node is slower than it used to be, each check would want a second opinion.
func TestHedgesAreCapped(t *testing.T) {
	p := stocked(t)
	first, second := p.crossroads(), p.crossroads()
	c := p.goClient(client.DialWithin, first.address, second.address)
	burst(t, c, 200)
	before := second.asked.Load()
	first.steady.Store(true)
	first.delay.Store(int64(40 * time.Millisecond))
	const checks = 400
	if may := burst(t, c, checks); may < checks*9/10 {
		t.Errorf("%d of %d allowed", may, checks)
	}
	hedges, all := second.asked.Load(), int64(200+checks)
	t.Logf("%d checks, %d asked of the second node, %d of them while the first was slow", all, hedges, hedges-before)
	if hedges*20 > all {
		t.Errorf("%d of %d checks were asked twice, want at most 1 in 20", hedges, all)
	}
	if hedges == before {
		t.Error("a slow node was never hedged")
	}
}
