package ops

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The patience with a receiver of traces, and what waits for it: at 8 spans a check, a burst of a thousand sampled checks.
const (
	maxWaitingSpans = 8192
	spanBatch       = 512
	spanDelay       = time.Second
	exportPatience  = 5 * time.Second
	firstRetry      = 500 * time.Millisecond
	spanCloseTime   = time.Second
)

// TraceOptions say where traces go and how many.
type TraceOptions struct {
	// URL is an OTLP receiver over gRPC: http://host:4317, or https:// for TLS. Headers, certificates and compression are
	// what the exporter finds in OTEL_EXPORTER_OTLP_*, attributes of this process in OTEL_RESOURCE_ATTRIBUTES.
	URL string
	// Ratio is the share of requests that are traced, 0 to 1, of those whose client has not decided it in a traceparent.
	Ratio float64
	Words Words
	Build Build
	Node  string // "" for none
	// OnChange learns that the receiver does not take spans (why), and that it takes them again (nil).
	OnChange func(error)
}

// Traces sends the spans of some requests to a receiver. A nil *Traces traces nothing. It never waits for the receiver: what
// does not fit into a bounded queue is dropped and counted.
type Traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	queue    *spanQueue
	words    Words
	ratio    float64
}

// OpenTraces does not wait for the receiver, and is content when there is none yet.
func OpenTraces(ctx context.Context, o TraceOptions) (*Traces, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	described, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(o.attributes()...), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("the resource of traces: %w", err)
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(o.URL), otlptracegrpc.WithTimeout(exportPatience),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{
			Enabled: true, InitialInterval: firstRetry, MaxInterval: exportPatience, MaxElapsedTime: exportPatience,
		}))
	if err != nil {
		return nil, fmt.Errorf("the exporter of traces: %w", err)
	}
	t := &Traces{queue: &spanQueue{exporter: exporter, onChange: o.OnChange}, words: o.Words, ratio: o.Ratio}
	t.queue.batches = sdktrace.NewBatchSpanProcessor(t.queue, sdktrace.WithMaxQueueSize(maxWaitingSpans),
		sdktrace.WithMaxExportBatchSize(spanBatch), sdktrace.WithBatchTimeout(spanDelay), sdktrace.WithExportTimeout(exportPatience))
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithResource(described), sdktrace.WithSpanProcessor(ending{t.queue}),
		sdktrace.WithSampler(sdktrace.AlwaysSample()))
	t.tracer = t.provider.Tracer("github.com/belpoort/belpoort", trace.WithInstrumentationVersion(o.Build.Version))
	return t, nil
}

// Check says, by the flag, what is wrong with options.
func (o *TraceOptions) Check() error {
	at, err := url.Parse(o.URL)
	switch {
	case err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" || strings.Trim(at.Path, "/") != "" ||
		at.User != nil || at.RawQuery != "" || at.Fragment != "":
		return errors.New("--otlp: want the URL of an OTLP receiver over gRPC, such as http://127.0.0.1:4317, or https:// for TLS")
	case !(o.Ratio >= 0 && o.Ratio <= 1):
		return fmt.Errorf("--trace-ratio %v: want 0 to 1", o.Ratio)
	default:
		return nil
	}
}

func (o *TraceOptions) attributes() []attribute.KeyValue {
	described := []attribute.KeyValue{attribute.String("service.name", "belpoort"), attribute.String("service.version", o.Build.Version)}
	if o.Node != "" {
		described = append(described, attribute.String("service.instance.id", o.Node))
	}
	return described
}

// Close gives what waits a second to reach the receiver.
func (t *Traces) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), spanCloseTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("closing traces: %w", err)
	}
	return nil
}

// Traces shows what becomes of spans.
func (m *Metrics) Traces(t *Traces) {
	if t == nil {
		return
	}
	for result, count := range map[string]*atomic.Uint64{"exported": &t.queue.exported, "failed": &t.queue.failed, "dropped": &t.queue.dropped} {
		m.Count("belpoort_trace_spans_total", "Spans of sampled requests, by result.", func() float64 { return float64(count.Load()) }, "result", result)
	}
}

// spanQueue counts what waits before the library's own queue, which drops without telling; and is its exporter, for the same
// reason.
type spanQueue struct {
	batches                   sdktrace.SpanProcessor
	exporter                  sdktrace.SpanExporter
	waiting                   atomic.Int64
	exported, failed, dropped atomic.Uint64
	failing                   atomic.Bool
	onChange                  func(error)
}

// ExportSpans implements sdktrace.SpanExporter. A receiver that does not take spans is told of when that begins and when it ends.
func (q *spanQueue) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := q.exporter.ExportSpans(ctx, spans)
	q.waiting.Add(-int64(len(spans)))
	if err != nil {
		q.failed.Add(uint64(len(spans)))
	} else {
		q.exported.Add(uint64(len(spans)))
	}
	if q.failing.Swap(err != nil) != (err != nil) && q.onChange != nil {
		q.onChange(err)
	}
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (q *spanQueue) Shutdown(ctx context.Context) error { return q.exporter.Shutdown(ctx) }

// ending is the queue as the library's processor of spans that ended.
type ending struct{ *spanQueue }

func (ending) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

func (e ending) OnEnd(span sdktrace.ReadOnlySpan) {
	if e.waiting.Add(1) > maxWaitingSpans {
		e.waiting.Add(-1)
		e.dropped.Add(1)
		return
	}
	e.batches.OnEnd(span)
}

func (e ending) Shutdown(ctx context.Context) error   { return e.batches.Shutdown(ctx) }
func (e ending) ForceFlush(ctx context.Context) error { return e.batches.ForceFlush(ctx) }

// Span is one request that is traced, with its parts. A nil *Span is one that is not, and costs nothing. It takes no words of
// a client's own: they could hold a number.
type Span struct {
	of   *Traces
	span trace.Span
	ctx  context.Context // for its parts
	id   string
}

type spanKey struct{}

// TraceParent is the header in which a client says of which trace its request is a part.
const TraceParent = "traceparent"

// Begin opens the span of a request that arrived at a moment; nil where it is not sampled. parent is the client's
// traceparent; "" for none.
func (t *Traces) Begin(ctx context.Context, method, parent string, arrived time.Time) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	from := context.Background()
	if parent != "" {
		from = propagation.TraceContext{}.Extract(from, propagation.MapCarrier{TraceParent: parent})
	}
	if !t.sampled(trace.SpanContextFromContext(from)) {
		return ctx, nil
	}
	name := strings.TrimPrefix(method, "/")
	from, span := t.tracer.Start(from, name, trace.WithTimestamp(arrived), trace.WithSpanKind(trace.SpanKindServer))
	span.SetAttributes(attribute.String("rpc.system.name", "grpc"), attribute.String("rpc.method", name))
	s := &Span{of: t, span: span, ctx: from, id: span.SpanContext().TraceID().String()}
	return context.WithValue(ctx, spanKey{}, s), s
}

// sampled decides as the client has, else by chance; before the library, whose own samplers allocate for each request.
func (t *Traces) sampled(parent trace.SpanContext) bool {
	if parent.IsValid() {
		return parent.IsSampled()
	}
	return rand.Float64() < t.ratio
}

// Of finds the span of the request that is under way; nil where it is not traced.
func (t *Traces) Of(ctx context.Context) *Span {
	if t == nil {
		return nil
	}
	s, _ := ctx.Value(spanKey{}).(*Span)
	return s
}

// TraceID is the trace's id in hexadecimal; "" for none.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return s.id
}

// Part is a part of the request, from began until now.
func (s *Span) Part(name string, began time.Time) {
	if s == nil {
		return
	}
	_, part := s.of.tracer.Start(s.ctx, name, trace.WithTimestamp(began))
	part.End()
}

// Now is the beginning of a part that nothing but the trace measures; without a trace it looks at no clock.
func (s *Span) Now() time.Time {
	if s == nil {
		return time.Time{}
	}
	return time.Now()
}

// Decided says how a call was decided.
func (s *Span) Decided(d *Decided) {
	if s == nil {
		return
	}
	s.span.SetAttributes(
		attribute.String("belpoort.verdict", s.of.words.verdict(d.Verdict)), attribute.String("belpoort.reason", s.of.words.reason(d.Reason)),
		attribute.String("belpoort.door", d.Door), attribute.String("belpoort.campaign", d.Campaign),
		attribute.String("belpoort.organisation", d.Organisation), attribute.String("belpoort.client", d.Client),
		attribute.String("belpoort.callee_token", d.CalleeToken), attribute.String("belpoort.decision_id", d.DecisionID),
		attribute.String("belpoort.law_version", d.LawVersion), attribute.Int64("belpoort.ledger_position", int64(d.LedgerPosition)),
	)
}

// End ends the request with its status code, and the reason of an error; "" for none.
func (s *Span) End(code, reason string) {
	if s == nil {
		return
	}
	s.span.SetAttributes(attribute.String("rpc.response.status_code", code))
	if reason != "" {
		s.span.SetStatus(codes.Error, reason)
	}
	s.span.End()
}

func (w *Words) verdict(number int) string { return wordOf(w.Verdicts, number) }

func (w *Words) reason(number int) string { return wordOf(w.Reasons, number) }

func wordOf(words []string, number int) string {
	if number < 0 || number >= len(words) {
		number = 0
	}
	return orUnnamed(words[number])
}
