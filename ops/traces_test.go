package ops

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func openTraces(t *testing.T, ratio float64) *Traces {
	t.Helper()
	traces, err := OpenTraces(t.Context(), TraceOptions{URL: "http://127.0.0.1:1", Ratio: ratio, Words: words()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = traces.Close() })
	return traces
}

const asked = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"

// The client decides whether its request is traced, where it says so; else chance does.
func TestTheClientDecidesWhatIsTraced(t *testing.T) {
	all, none := openTraces(t, 1), openTraces(t, 0)
	for _, c := range []struct {
		traces *Traces
		parent string
		traced bool
	}{
		{all, "", true}, {none, "", false}, {all, asked + "0", false}, {none, asked + "1", true}, {nil, asked + "1", false},
		{none, "nonsense", false}, {all, "nonsense", true}, {none, strings.Repeat("0", 1<<16), false},
	} {
		ctx, span := c.traces.Begin(t.Context(), "/s/m", c.parent, time.Now())
		if (span != nil) != c.traced || c.traces.Of(ctx) != span || (span.TraceID() != "") != c.traced {
			t.Errorf("with %.60q: %v", c.parent, span)
		}
		span.End("OK", "")
	}
}

// What is not traced, for want of traces or by chance, costs a check no memory; nor does a decision log that nobody wants.
func TestWhatIsNotTracedAllocatesNothing(t *testing.T) {
	m, one := New(words(), Build{}), Decided{Verdict: 2, Reason: 1, Door: DoorGRPC, DecisionID: "d", CalleeToken: "t"}
	var nobody *DecisionLog
	for name, traces := range map[string]*Traces{"off": nil, "ratio 0": openTraces(t, 0)} {
		if n := testing.AllocsPerRun(100, func() {
			ctx, span := traces.Begin(t.Context(), "/s/m", "", time.Time{})
			span.Part("cache", traces.Of(ctx).Now())
			one.TraceID = span.TraceID()
			m.Decided(one)
			span.Decided(&one)
			nobody.Note(&one)
			span.End("OK", "")
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// What waits for a receiver is bounded, and what is dropped is counted to the last span.
func TestSpansThatWaitAreBounded(t *testing.T) {
	traces, m := openTraces(t, 1), New(words(), Build{})
	m.Traces(traces)
	const more = 1000
	for range maxWaitingSpans + more {
		_, span := traces.Begin(context.Background(), "/s/m", "", time.Now())
		span.End("OK", "")
	}
	q := traces.queue
	if q.waiting.Load() > maxWaitingSpans || q.dropped.Load()+q.failed.Load()+uint64(q.waiting.Load()) != maxWaitingSpans+more || q.dropped.Load() == 0 {
		t.Errorf("%d wait, %d failed, %d dropped", q.waiting.Load(), q.failed.Load(), q.dropped.Load())
	}
	if _, body := get(t, m.Handler(Pages{}), "GET", "/metrics"); !strings.Contains(body, `belpoort_trace_spans_total{result="dropped"} `+fmt.Sprint(q.dropped.Load())) {
		t.Errorf("what was dropped is not shown")
	}
}
