package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// CheckCall asks whether one call may be dialed; MayDial reads the answer. Where the first node is slower than 95 in 100
// answers of late, or fails, the question also goes to a second one, and whichever answers first is heard: for at most one
// check in twenty, so that a service in trouble is not asked twice. A question without a request_id is given one, because
// under the same request_id it is the same call wherever it is asked.
func (c *Client) CheckCall(
	ctx context.Context, req *belpoortv1.CheckCallRequest, options ...grpc.CallOption,
) (*belpoortv1.CheckCallResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	if req.GetRequestId() == "" {
		req = proto.CloneOf(req)
		req.RequestId = newRequestID()
	}
	c.budget.earn()
	began := time.Now()
	response, err := c.race(ctx, req, options)
	c.pace.note(time.Since(began))
	return response, err
}

// answer is how one node answered.
type answer struct {
	response *belpoortv1.CheckCallResponse
	err      error
}

// race asks the first node, and a second one when that seems worth it.
func (c *Client) race(ctx context.Context, req *belpoortv1.CheckCallRequest, options []grpc.CallOption) (*belpoortv1.CheckCallResponse, error) {
	answers := make(chan answer, 2)
	first := c.nodes.pick(time.Now())
	go first.ask(ctx, req, options, answers)
	patience := time.NewTimer(c.pace.slow())
	defer patience.Stop()
	under := 1
	for {
		select {
		case <-patience.C:
			under += c.hedge(ctx, first, req, options, answers)
		case a := <-answers:
			if under--; a.err == nil || !elsewhere(a.err) {
				return a.response, a.err
			}
			if patience.Stop() {
				under += c.hedge(ctx, first, req, options, answers)
			}
			if under == 0 {
				return nil, a.err
			}
		}
	}
}

// hedge asks another node, if there is one and the budget has a place; it returns how many it asked.
func (c *Client) hedge(ctx context.Context, first *node, req *belpoortv1.CheckCallRequest, options []grpc.CallOption, answers chan<- answer) int {
	second := c.nodes.other(first, time.Now())
	if second == nil || !c.budget.spend() {
		return 0
	}
	go second.ask(ctx, req, options, answers)
	return 1
}

func (n *node) ask(ctx context.Context, req *belpoortv1.CheckCallRequest, options []grpc.CallOption, answers chan<- answer) {
	response, err := belpoortv1.NewGatekeeperServiceClient(n.conn).CheckCall(ctx, req, options...)
	n.heard(err)
	if err != nil {
		response = nil
	}
	answers <- answer{response, err}
}

// elsewhere tells whether another node may do better. One that is overloaded has its fellows in the same state.
func elsewhere(err error) bool { return status.Code(err) == codes.Unavailable }

func newRequestID() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// budget lets one check in twenty be asked twice, from the first check on: what was not spent is kept, up to mostSaved.
type budget struct {
	mu     sync.Mutex
	twenty int // twentieths of a place
}

const (
	placeCosts = 20
	mostSaved  = 10 * placeCosts
)

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.twenty = min(b.twenty+1, mostSaved)
}

func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.twenty < placeCosts && !mutantHedgeUncapped {
		return false
	}
	b.twenty -= placeCosts
	return true
}

// pace knows how long checks take: it holds the latest of them, and reckons anew now and then.
type pace struct {
	mu     sync.Mutex
	latest [256]time.Duration
	count  int
	p95    time.Duration
}

// Before paceKnownAfter checks nothing is slow; hedging earlier than leastPatience would only race with chance.
const (
	paceKnownAfter = 64
	reckonEvery    = 32
	leastPatience  = time.Millisecond
	noPatienceYet  = time.Hour
)

func (p *pace) note(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latest[p.count%len(p.latest)] = took
	p.count++
	if p.count < paceKnownAfter || p.count%reckonEvery != 0 {
		return
	}
	sorted := slices.Clone(p.latest[:min(p.count, len(p.latest))])
	slices.Sort(sorted)
	p.p95 = max(sorted[len(sorted)*95/100], leastPatience)
}

// slow is how long to wait for a node before a second one is asked.
func (p *pace) slow() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.p95 == 0 {
		return noPatienceYet
	}
	return p.p95
}
