package doors

import (
	"context"
	"regexp"

	"google.golang.org/grpc/metadata"
)

// TraceParent is the header in which a client says of which trace its request is a part, as the W3C has it.
const TraceParent = "traceparent"

var traceParent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// InTrace makes what is asked under a context a part of its client's trace. What is no traceparent is left out: it must not
// break the question.
func InTrace(ctx context.Context, parent string) context.Context {
	if !traceParent.MatchString(parent) {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, TraceParent, parent)
}
