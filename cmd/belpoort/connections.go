package main

import (
	"maps"
	"slices"
	"syscall"

	"go.uber.org/zap"

	"github.com/belpoort/belpoort/ops"
)

// defaultConnections of each listener take 200 MB at most.
const defaultConnections = 2048

// spareFiles are those that a node opens besides connections: stores, journals, logs.
const spareFiles = 256

// fitConnections lowers the bound to what this process may open.
func (o *nodeOptions) fitConnections() {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	const listeners = 3
	if fit := (int(min(limit.Cur, 1<<30)) - spareFiles) / listeners; o.connections > fit {
		o.log.Warn("fewer connections than --connections: this process may not open so many files", zap.Int("connections", max(1, fit)),
			zap.Uint64("files", limit.Cur))
		o.connections = max(1, fit)
	}
}

func (n *node) connectionGauges(metrics *ops.Metrics) {
	for _, flag := range slices.Sorted(maps.Keys(n.bounded)) {
		l := n.bounded[flag]
		metrics.GaugeOf("belpoort_connections", "Connections that a listener holds.", func() float64 { return float64(l.Open()) }, "listener", flag)
		for cause, count := range map[string]func() uint64{
			"quiet": func() uint64 { quiet, _ := l.Closed(); return quiet },
			"full":  func() uint64 { _, turned := l.Closed(); return turned },
		} {
			metrics.Count("belpoort_connections_closed_total", "Connections closed because a listener held as many as it may: quiet ones, and ones that had just come (full).",
				func() float64 { return float64(count()) }, "listener", flag, "cause", cause)
		}
	}
}
