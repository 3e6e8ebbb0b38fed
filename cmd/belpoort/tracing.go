package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/belpoort/belpoort/ops"
)

func traceFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("otlp", "", "URL of an OTLP receiver over gRPC that traces are sent to, such as http://127.0.0.1:4317; https:// for TLS (default: no traces)")
	f.Float64("trace-ratio", 0.01, "share of requests that are traced, 0 to 1, where the client's traceparent does not say")
}

// traceOptions reads the flags; a URL of "" means no traces.
func traceOptions(f flags) (ops.TraceOptions, error) {
	o := ops.TraceOptions{URL: f.text("otlp"), Words: decisionWords(), Build: ops.Build{Version: version, GoVersion: runtime.Version()}}
	o.Ratio, _ = f.set.GetFloat64("trace-ratio")
	if o.URL == "" {
		if f.set.Changed("trace-ratio") {
			return o, errors.New("--trace-ratio needs --otlp")
		}
		return o, nil
	}
	return o, o.Check()
}

func (n *node) openTraces(ctx context.Context, o nodeOptions) error {
	if o.traces.URL == "" {
		return nil
	}
	options := o.traces
	options.Node = o.nodeName()
	options.OnChange = func(err error) {
		if err != nil {
			n.log.Warn("traces are not taken; spans are lost", zap.Error(err))
			return
		}
		n.log.Info("traces are taken again")
	}
	var err error
	if n.traces, err = ops.OpenTraces(ctx, options); err != nil {
		return fmt.Errorf("--otlp: %w", err)
	}
	return nil
}
