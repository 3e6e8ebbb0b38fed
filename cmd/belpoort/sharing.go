package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/belpoort/belpoort/fence"
	"github.com/belpoort/belpoort/journal"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ops"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/server"
)

// lateLease is the lease of a node whose fence opens after its server: not held before.
type lateLease struct{ fence atomic.Pointer[fence.Fence] }

func (l *lateLease) Held() bool {
	f := l.fence.Load()
	return f != nil && f.Held()
}

func (l *lateLease) Settle(ctx context.Context, position uint64) error {
	f := l.fence.Load()
	if f == nil {
		return errors.New("the fence is not open yet")
	}
	return f.Settle(ctx, position)
}

// openLedger opens the ledger that the options name.
func (n *node) openLedger(ctx context.Context, o nodeOptions) error {
	if o.ledger == "" {
		store, err := ledger.OpenSQLite(ctx, o.data.ledger(), ledger.Options{})
		if err == nil {
			n.ledger = store
		}
		return err
	}
	store, err := ledger.OpenPostgres(ctx, o.ledger, ledger.Options{Readers: sharedReaders})
	if err != nil {
		return fmt.Errorf("--ledger: %w", err)
	}
	n.ledger, n.shared = store, store
	return nil
}

// sharedReaders is how many connections a node reads the shared ledger with.
const sharedReaders = 16

// openFence loads the floors and takes the first lease: until it returns, this node answers nothing from what it holds.
func (n *node) openFence(ctx context.Context, o nodeOptions) error {
	if n.shared == nil {
		return nil
	}
	if mutantReadyBeforeSnapshot {
		go func() { _ = n.join(ctx, o) }()
		return nil
	}
	return n.join(ctx, o)
}

func (n *node) join(ctx context.Context, o nodeOptions) error {
	f, err := fence.Open(ctx, fence.Options{
		Ledger: fencing{n.shared}, Floors: n.floors, Snapshot: o.redis != "", Name: o.nodeName(),
		Catalogue: n.followCatalogue,
		OnError:   func(err error) { n.log.Warn("the lease cannot be renewed", zap.Error(err)) },
	})
	if err != nil {
		return fmt.Errorf("the fence: %w", err)
	}
	n.fence = f
	n.lease.fence.Store(f)
	return nil
}

func (o nodeOptions) nodeName() string {
	if o.name != "" {
		return o.name
	}
	name, err := os.Hostname()
	if err != nil {
		return "node"
	}
	return name
}

// followCatalogue puts the catalogue in force that another node has recorded.
func (n *node) followCatalogue(ctx context.Context, _ uint64) error {
	return n.server.RefreshCatalogue(ctx)
}

// healthEvery is how often the fence's state is looked at for health.
const healthEvery = 200 * time.Millisecond

// watchFence turns health red while this node's clock cannot be trusted to measure its lease.
func (n *node) watchFence(ctx context.Context) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.server.WithholdAllow(driftOf(n.fence.State()))
		}
	}
}

func driftOf(s fence.State) error {
	if !s.DriftExceeded {
		return nil
	}
	return fmt.Errorf("this machine's clock and the ledger's run apart by %.2f %%: no lease", 100*s.Drift)
}

func fenceGauges(metrics *ops.Metrics, f *fence.Fence) {
	for _, g := range []struct {
		name, help string
		value      func(fence.State) float64
	}{
		{"belpoort_lease_remaining_seconds", "How long this node may still answer from what it holds; 0: not at all.", func(s fence.State) float64 { return s.Remaining.Seconds() }},
		{"belpoort_fence_applied_position", "Last ledger position whose floors this node has raised.", func(s fence.State) float64 { return float64(s.Applied) }},
		{"belpoort_fence_head_position", "Last ledger position that this node knows of.", func(s fence.State) float64 { return float64(s.Head) }},
		{"belpoort_clock_drift_ratio", "How much faster this machine's clock runs than the ledger's, as last measured.", func(s fence.State) float64 { return s.Drift }},
		{"belpoort_nodes", "Nodes that hold a lease or held one a moment ago, this one included.", func(s fence.State) float64 { return float64(len(s.Nodes)) }},
	} {
		metrics.Gauge(g.name, g.help, func() float64 { return g.value(f.State()) })
	}
}

// fencing is the shared ledger as the fence wants it.
type fencing struct{ *ledger.Postgres }

func (f fencing) Announce(ctx context.Context, id fence.NodeID, name string, applied uint64) (time.Time, error) {
	return f.Postgres.Announce(ctx, ledger.NodeID(id), name, applied)
}

func (f fencing) Acknowledge(ctx context.Context, id fence.NodeID, applied uint64) error {
	return f.Postgres.Acknowledge(ctx, ledger.NodeID(id), applied)
}

func (f fencing) Lapse(ctx context.Context, id fence.NodeID, announced uint64) error {
	return f.Postgres.Lapse(ctx, ledger.NodeID(id), announced)
}

func (f fencing) Leave(ctx context.Context, id fence.NodeID) error {
	return f.Postgres.Leave(ctx, ledger.NodeID(id))
}

func (f fencing) Nodes(ctx context.Context) ([]fence.Node, error) {
	found, err := f.Postgres.Nodes(ctx)
	nodes := make([]fence.Node, len(found))
	for i, n := range found {
		nodes[i] = fence.Node{ID: fence.NodeID(n.ID), Name: n.Name, Applied: n.Applied, Announced: n.Announced}
	}
	return nodes, err
}

func (f fencing) Changes(ctx context.Context, after uint64, limit int) ([]fence.Change, uint64, error) {
	found, head, err := f.Postgres.Changes(ctx, after, limit)
	changes := make([]fence.Change, len(found))
	for i, c := range found {
		changes[i] = fence.Change{Position: c.Position, Callee: c.Callee, Aside: c.Kind == record.KindImport || c.Kind == record.KindRetention}
	}
	return changes, head, err
}

// replaying brings pending objections from their journal to the ledger.
type replaying struct {
	ledger ledger.Ledger
	server *server.Server
}

func (r replaying) Place(ctx context.Context, source string) (uint64, error) {
	return r.ledger.Place(ctx, source)
}

// Ship may be cut short between the two: what is then replayed again is found recorded.
func (r replaying) Ship(ctx context.Context, source string, from, through uint64, payloads [][]byte) error {
	if err := r.server.Replay(ctx, payloads); err != nil {
		return err
	}
	return r.ledger.ShipDecisions(ctx, source, from-1, through, nil)
}

// The pace at which pending objections are tried again: they must be in force soon after the ledger's return.
const (
	replayAtLeast = 10 * time.Millisecond
	replayAtMost  = 250 * time.Millisecond
	replayTimeout = 5 * time.Second
)

// followPending brings the objections that wait on this node to the ledger, those of an earlier run first.
func (n *node) followPending(ctx context.Context) error {
	return n.pending.Follow(ctx, replaying{n.ledger, n.server}, journal.FollowOptions{
		Delay: time.Millisecond, BackoffMin: replayAtLeast, BackoffMax: replayAtMost, Timeout: replayTimeout, BatchRecords: 64,
		OnError: func(err error) { n.log.Warn("pending objections wait for the ledger", zap.Error(err)) },
	})
}
