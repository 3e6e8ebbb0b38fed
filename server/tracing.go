package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/ops"
)

// traced opens the trace of a request that is allowed to ask, where it is sampled: by its client, or by chance.
func (s *Server) traced(ctx context.Context, method string, arrived time.Time) (context.Context, *ops.Span) {
	if s.traces == nil || rules[method].open {
		return ctx, nil
	}
	parent := ""
	if given := metadata.ValueFromIncomingContext(ctx, ops.TraceParent); len(given) == 1 {
		parent = given[0]
	}
	return s.traces.Begin(ctx, method, parent, arrived)
}

// endTrace ends a request's trace with what became of it.
func endTrace(span *ops.Span, err error) {
	if span == nil {
		return
	}
	code, reason := status.Code(err), ""
	if err != nil {
		reason = code.String()
	}
	if f := (*failure)(nil); errors.As(err, &f) {
		reason = f.reason
	}
	span.End(code.String(), reason)
}

// took measures a stage of a check, and shows it in the check's trace.
func (s *Server) took(span *ops.Span, stage ops.Stage, began time.Time) {
	s.metrics.Took(stage, time.Since(began))
	span.Part(stage.String(), began)
}
