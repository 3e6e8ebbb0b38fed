package server

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Deadlines where the client sets none.
const (
	checkDeadline  = time.Second
	unaryDeadline  = 5 * time.Second
	streamDeadline = time.Minute
)

// leastBudget is the shortest time in which a request is worth beginning. Of what there is, a tenth, at most
// answerReserve, is kept for answering: a refusal that arrives beats an answer that does not.
const (
	leastBudget   = time.Millisecond
	answerReserve = 10 * time.Millisecond
)

// withBudget gives a request the time in which its work must be done.
func withBudget(ctx context.Context, method string, stream bool) (context.Context, context.CancelFunc, error) {
	limit, ok := ctx.Deadline()
	if !ok {
		if rules[method].open || method == belpoortv1.GatekeeperService_CheckCalls_FullMethodName {
			return ctx, func() {}, nil // a health watch and a dialer's pipeline last as long as their connection
		}
		return budgeted(ctx, time.Now().Add(defaultDeadline(method, stream)))
	}
	left := time.Until(limit)
	if left < leastBudget {
		return nil, nil, fail(codes.DeadlineExceeded, ReasonDeadline, "the deadline leaves no time for an answer")
	}
	return budgeted(ctx, limit.Add(-min(left/10, answerReserve)))
}

func budgeted(ctx context.Context, limit time.Time) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithDeadline(ctx, limit)
	return ctx, cancel, nil
}

func defaultDeadline(method string, stream bool) time.Duration {
	switch {
	case stream:
		return streamDeadline
	case method == belpoortv1.GatekeeperService_CheckCall_FullMethodName:
		return checkDeadline
	default:
		return unaryDeadline
	}
}

// unary is the way of every unary request: counted, guarded against panics, known, in time.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	arrived := time.Now()
	defer func() { s.answered(info.FullMethod, time.Since(arrived), err) }()
	var span *ops.Span
	defer func() { endTrace(span, err) }()
	defer s.recovered(info.FullMethod, &answer, &err)
	ctx, err = s.authorise(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	ctx, span = s.traced(ctx, info.FullMethod, arrived)
	ctx, cancel, err := withBudget(ctx, info.FullMethod, false)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return handler(ctx, req)
}

// stream is the way of every stream.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	arrived := time.Now()
	defer func() { s.answered(info.FullMethod, time.Since(arrived), err) }()
	defer s.recovered(info.FullMethod, nil, &err)
	ctx, err := s.authorise(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	ctx, cancel, err := withBudget(ctx, info.FullMethod, true)
	if err != nil {
		return err
	}
	defer cancel()
	return handler(srv, &guardedStream{ss, ctx})
}

// guardedStream is a stream under the context that the interceptors made.
type guardedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *guardedStream) Context() context.Context { return s.ctx }

// recovered turns a panic into INTERNAL and takes back whatever answer there was. It must be deferred directly.
func (s *Server) recovered(where string, answer *any, err *error) {
	cause := recover()
	if cause == nil {
		return
	}
	s.panicked(where, cause)
	if answer != nil {
		*answer = nil
	}
	*err = internal(errPanic)
}

var errPanic = errors.New("panic")

// panicked writes down a panic without its value, which could hold a number; only the runtime's own are safe to show.
func (s *Server) panicked(where string, cause any) {
	s.metrics.Panicked()
	kind := fmt.Sprintf("%T", cause)
	if fault, ok := cause.(runtime.Error); ok {
		kind = fault.Error()
	}
	s.log.Error("panic", zap.String("in", where), zap.String("kind", kind), zap.ByteString("stack", debug.Stack()))
}

// mayComplain is true once a second: overload must not be made worse by telling of it each time.
func (s *Server) mayComplain() bool {
	now := time.Now().Unix()
	last := s.complained.Load()
	return now > last && s.complained.CompareAndSwap(last, now)
}

// answered counts a request, and writes down what went wrong on our side.
func (s *Server) answered(method string, took time.Duration, err error) {
	code := status.Code(err)
	if mutantFailureUncounted && code != codes.OK {
		return
	}
	s.metrics.Answered(method, code.String(), method == belpoortv1.GatekeeperService_CheckCall_FullMethodName, took)
	if entry := s.log.Check(zap.DebugLevel, "request answered"); entry != nil {
		entry.Write(zap.String("method", method), zap.Stringer("code", code), zap.Duration("took", took))
	}
	switch code {
	case codes.Internal, codes.Unavailable, codes.ResourceExhausted, codes.DataLoss, codes.Unknown, codes.DeadlineExceeded:
	default:
		return
	}
	fields := []zap.Field{zap.String("method", method), zap.Stringer("code", code)}
	var f *failure
	if errors.As(err, &f) {
		if (f.reason == ReasonOverloaded || f.reason == ReasonRateLimited) && !s.mayComplain() {
			return
		}
		fields = append(fields, zap.String("reason", f.reason))
		if f.cause != nil {
			fields = append(fields, zap.NamedError("cause", f.cause))
		}
	}
	s.log.Warn("request failed", fields...)
}
