package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// maxPipelined bounds how many calls of one stream are under way, as the comment of CheckCalls states.
const maxPipelined = 64

// CheckCalls puts each question of a stream to CheckCall, many at a time.
func (g *gatekeeper) CheckCalls(stream grpc.BidiStreamingServer[belpoortv1.CheckCallsRequest, belpoortv1.CheckCallsResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	p := &pipeline{g: g, stream: stream, places: make(chan struct{}, maxPipelined), broken: cancel}
	err := p.all(ctx)
	if err != nil {
		cancel()
	}
	p.calls.Wait()
	cancel()
	return errors.Join(err, p.sending)
}

// pipeline is one stream of checks.
type pipeline struct {
	g      *gatekeeper
	stream grpc.BidiStreamingServer[belpoortv1.CheckCallsRequest, belpoortv1.CheckCallsResponse]
	places chan struct{} // one for each call under way
	calls  sync.WaitGroup
	broken context.CancelFunc

	mu      sync.Mutex // of the sending side
	sending error
}

// all takes up questions until the stream ends. The key is looked at anew for each.
func (p *pipeline) all(ctx context.Context) error {
	questions := make(chan pipelined)
	go p.receive(ctx, questions)
	for {
		var q pipelined
		select {
		case q = <-questions:
		case <-p.g.s.ending:
			return fail(codes.Unavailable, ReasonNotServing, "the service is stopping; the calls under way were answered")
		}
		if errors.Is(q.err, io.EOF) {
			return nil
		}
		if q.err != nil {
			return q.err
		}
		req := q.req
		if err := firstError(requestIDOfCheck(req), ctx.Err()); err != nil {
			return err
		}
		as, err := p.g.s.authorise(ctx, belpoortv1.GatekeeperService_CheckCalls_FullMethodName)
		if err != nil && !mutantPipelineKeepsKey {
			return err
		}
		if err != nil {
			as = ctx
		}
		select {
		case p.places <- struct{}{}:
		case <-ctx.Done():
			return ledgerUnavailable(ctx.Err())
		}
		p.calls.Go(func() {
			defer func() { <-p.places }()
			p.answer(as, req.GetCheck())
		})
	}
}

// pipelined is what a stream gave: a question, or its end.
type pipelined struct {
	req *belpoortv1.CheckCallsRequest
	err error
}

// receive outlives the handler by the one Recv that the handler's return cuts off.
func (p *pipeline) receive(ctx context.Context, questions chan<- pipelined) {
	for {
		var q pipelined
		q.req, q.err = p.stream.Recv()
		select {
		case questions <- q:
		case <-ctx.Done():
			return
		}
		if q.err != nil {
			return
		}
	}
}

func requestIDOfCheck(req *belpoortv1.CheckCallsRequest) error {
	if req.GetCheck() == nil {
		return missing("check")
	}
	if req.GetCheck().GetRequestId() == "" {
		return missing("check.request_id")
	}
	return printable("check.request_id", req.GetCheck().GetRequestId(), maxRequestID)
}

// answer checks one call in the time that a check has.
func (p *pipeline) answer(ctx context.Context, req *belpoortv1.CheckCallRequest) {
	ctx, cancel := context.WithTimeout(ctx, checkDeadline)
	defer cancel()
	ctx, span := p.g.s.traced(ctx, belpoortv1.GatekeeperService_CheckCalls_FullMethodName, time.Now())
	answer := &belpoortv1.CheckCallsResponse{RequestId: req.GetRequestId()}
	check, err := guarded(p.g.s, ctx, func(ctx context.Context) (*belpoortv1.CheckCallResponse, error) { return p.g.CheckCall(ctx, req) })
	endTrace(span, err)
	if err != nil {
		answer.Failure = failureOf(err)
	} else {
		answer.Check = check
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sending != nil {
		return
	}
	if p.sending = p.stream.Send(answer); p.sending != nil {
		p.broken()
	}
}

// failureOf is an error as the pipeline tells it.
func failureOf(err error) *belpoortv1.CheckFailure {
	reason, field := ReasonOf(err)
	known := status.Convert(err)
	return &belpoortv1.CheckFailure{Code: int32(known.Code()), Reason: reason, Field: field, Description: known.Message()}
}
