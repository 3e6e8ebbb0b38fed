package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/belpoort/belpoort/console"
	"github.com/belpoort/belpoort/fence"
	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Beyond these a part is shown as degraded.
const (
	lagShown   = time.Minute
	leaseShown = 500 * time.Millisecond
)

// watchParts follows how each part of this node is, and the last minutes, until the node stops.
func (n *node) watchParts(metrics *ops.Metrics) {
	n.health.Add("server", n.serverPart)
	n.health.Add("journal", n.journalPart)
	n.health.Add("ledger", n.ledgerPart)
	n.health.Add("objections", n.pendingPart)
	live := metrics.Live()
	live.Watch("journal_lag_seconds", func() float64 { _, oldest := n.journal.Lag(); return oldest.Seconds() })
	live.Watch("pending_objections", func() float64 { return float64(n.server.PendingObjections()) })
	live.Watch("checks_in_flight", func() float64 { checks, _ := n.server.UnderWay(); return float64(checks) })
	if floors, is := n.floors.(*fence.FloorTable); is {
		live.Watch("floors", func() float64 { return float64(floors.Len()) })
	}
	if n.fence != nil {
		n.health.Add("lease", n.leasePart)
		live.Watch("nodes", func() float64 { return float64(len(n.fence.State().Nodes)) })
		live.Watch("lease_remaining_seconds", func() float64 { return n.fence.State().Remaining.Seconds() })
		live.Watch("fence_behind", func() float64 { s := n.fence.State(); return float64(s.Head - min(s.Head, s.Applied)) })
	}
	if n.redis != nil {
		n.health.Add("redis", n.redisPart)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopOthers := n.stopFollowing
	n.stopFollowing = func() {
		stop()
		stopOthers()
	}
	n.following.Go(func() { live.Run(ctx) })
	n.following.Go(func() { n.health.Run(ctx) })
}

// operatorsPages are metrics, health and the page that shows them to people.
func (n *node) operatorsPages(o nodeOptions, metrics *ops.Metrics) (http.Handler, error) {
	mux := metrics.Handler(ops.Pages{Live: n.alive, Ready: n.server.Ready, Health: &n.health})
	mux.HandleFunc("/log/level", o.changeLogLevel)
	name := ""
	if n.shared != nil {
		name = o.nodeName()
	}
	inside := n.server.Inside()
	return mux, console.Mount(mux, console.Options{
		Node: name, Version: version, Metrics: metrics, Health: &n.health, Ready: n.server.Ready,
		Audit: belpoortv1.NewAuditServiceClient(inside), Register: belpoortv1.NewRegisterServiceClient(inside),
		Catalogue: belpoortv1.NewCatalogueServiceClient(inside),
	})
}

// askingForCertificate lets clients in that have no certificate, for withCertificate to judge.
func askingForCertificate(config *tls.Config) *tls.Config {
	asking := config.Clone()
	asking.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		inForce, err := config.GetConfigForClient(hello)
		if err != nil {
			return nil, err
		}
		own := inForce.Clone()
		own.ClientAuth = tls.VerifyClientCertIfGiven
		return own, nil
	}
	return asking
}

// withCertificate shows those who have a certificate everything, and others the two health pages without their parts: what
// restarts a process or sends it traffic, such as a kubelet, often has none.
func withCertificate(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		probe := (r.URL.Path == "/livez" || r.URL.Path == "/readyz") && r.URL.RawQuery == ""
		if len(r.TLS.VerifiedChains) == 0 && !probe && !mutantOpsAnyClient {
			http.Error(w, "this page is for those who have a client certificate", http.StatusForbidden)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// changeLogLevel shows and sets the level of this process's log. Only a PUT of JSON is taken, which no page of another site
// can send.
func (o nodeOptions) changeLogLevel(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut && r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, `want Content-Type application/json and {"level": "debug"}`, http.StatusUnsupportedMediaType)
		return
	}
	o.logs.level.ServeHTTP(w, r)
	if r.Method == http.MethodPut {
		o.log.Info("the log's level was set", zap.Stringer("level", o.logs.level.Level()))
	}
}

func (n *node) serverPart() (ops.Level, string) {
	if err := n.server.Ready(); err != nil {
		return ops.Down, err.Error()
	}
	return ops.Works, ""
}

func (n *node) journalPart() (ops.Level, string) {
	if n.journal.Err() != nil || n.pending.Err() != nil {
		return ops.Down, "the disk failed; this process must stop"
	}
	records, oldest := n.journal.Lag()
	if oldest > lagShown {
		return ops.Degraded, fmt.Sprintf("%d decisions wait for the ledger, the first for %v", records, oldest.Round(time.Second))
	}
	return ops.Works, ""
}

func (n *node) ledgerPart() (ops.Level, string) {
	if n.server.LedgerAway() {
		return ops.Degraded, "does not answer; objections are kept here"
	}
	if n.fence != nil {
		if s := n.fence.State(); !s.Held && !s.DriftExceeded {
			return ops.Degraded, "does not renew this node's lease"
		}
	}
	return ops.Works, ""
}

func (n *node) pendingPart() (ops.Level, string) {
	if count := n.server.PendingObjections(); count > 0 {
		return ops.Degraded, fmt.Sprintf("%d waiting for the ledger, the first for %v", count, n.server.OldestPending().Round(time.Second))
	}
	return ops.Works, ""
}

func (n *node) leasePart() (ops.Level, string) {
	s := n.fence.State()
	switch {
	case s.DriftExceeded:
		return ops.Down, driftOf(s).Error()
	case !s.Held:
		return ops.Degraded, "not held: every check asks the ledger itself"
	case s.Remaining < leaseShown:
		return ops.Degraded, "near its end"
	}
	return ops.Works, ""
}

func (n *node) redisPart() (ops.Level, string) {
	if n.redis.Health() != nil {
		return ops.Degraded, "not used; the ledger is asked instead"
	}
	return ops.Works, ""
}

// diskGauges show the room on the disk of the data folder, where the journal must always find some.
func diskGauges(metrics *ops.Metrics, data folder) {
	of := func(blocks func(*syscall.Statfs_t) uint64) func() float64 {
		return func() float64 {
			var disk syscall.Statfs_t
			if syscall.Statfs(string(data), &disk) != nil {
				return 0
			}
			return float64(blocks(&disk)) * float64(disk.Bsize)
		}
	}
	metrics.Gauge("belpoort_disk_free_bytes", "Room left on the disk of the data folder.", of(func(d *syscall.Statfs_t) uint64 { return d.Bavail }))
	metrics.Gauge("belpoort_disk_size_bytes", "Size of that disk.", of(func(d *syscall.Statfs_t) uint64 { return d.Blocks }))
}
