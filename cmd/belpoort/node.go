package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/belpoort/belpoort/cache"
	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/eligibility/law"
	"github.com/belpoort/belpoort/fence"
	"github.com/belpoort/belpoort/journal"
	"github.com/belpoort/belpoort/keyring"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ops"
	"github.com/belpoort/belpoort/permit"
	"github.com/belpoort/belpoort/server"
)

// nodeOptions are what `serve` can be told.
type nodeOptions struct {
	data                      folder
	grpc, http, ops           string       // addresses; http may be "" for none
	exchange                  exchangeDoor // FastAGI
	formNames                 string       // file with more names of forms' fields; "" for none
	certificate, key, clients string       // TLS files; "" for none
	plaintext                 bool         // beyond loopback without TLS
	keys                      string       // key file; "" for the data folder's own
	law                       string       // folder with the law; "" for the law of this binary
	ledger, redis             string       // URLs; "" for the embedded ledger, and for a cache in this process
	name                      string       // among the nodes that share a ledger
	allowWindow               time.Duration
	checks                    int // under way at once; 0 for the default
	patience                  time.Duration
	screenLimit, warmRate     int
	cacheBytes                int64
	connections               int // of each listener
	logs                      logs
	traces                    ops.TraceOptions
	log                       *zap.Logger
}

// node is one running Belpoort.
type node struct {
	log                 *zap.Logger
	ledger              ledger.Ledger
	journal             *journal.Journal
	pending             *journal.Journal // objections that the ledger could not take
	shared              *ledger.Postgres // the ledger, where several nodes share it
	floors              fence.Floors
	lease               lateLease
	fence               *fence.Fence
	redis               *cache.Redis[*eligibility.Eligibility]
	server              *server.Server
	grpc                net.Listener
	pages               *http.Server // for operators
	health              ops.Health
	journalled          uint64 // records in the journal when it was opened
	opsOn               net.Listener
	bounded             map[string]*server.Connections // by flag
	doors               webDoors
	traces              *ops.Traces
	decisions           *ops.DecisionLog
	exchange            exchangeDoor
	serving, servingOps net.Addr

	stopFollowing context.CancelFunc
	following     sync.WaitGroup
	followed      error // how the following of the journals ended
	replayed      error
}

// The patience of a stop: requests under way, then decisions on their way to the ledger.
const (
	drainTime = 10 * time.Second
	shipTime  = 5 * time.Second
	leaveTime = time.Second
)

// startNode opens everything, proves itself and serves. What it opened it closes when it fails.
func startNode(ctx context.Context, o nodeOptions) (*node, error) {
	n := &node{log: o.log, exchange: o.exchange, bounded: map[string]*server.Connections{}, stopFollowing: func() {}}
	if err := n.start(ctx, o); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

func (n *node) start(ctx context.Context, o nodeOptions) error {
	var err error
	if n.doors.names, err = readFormNames(o.formNames); err != nil {
		return fmt.Errorf("--form-names: %w", err)
	}
	book := lawIn(o.law)
	seen := book.stamp()
	nl, err := book.read()
	if err != nil {
		return err
	}
	if err := n.listen(o); err != nil {
		return err
	}
	if err := o.data.create(); err != nil {
		return err
	}
	if err := n.openLedger(ctx, o); err != nil {
		return err
	}
	ring, err := openKeys(ctx, n.ledger, o)
	if err != nil {
		return err
	}
	metrics := newMetrics(nl)
	if err := n.openTraces(ctx, o); err != nil {
		return err
	}
	n.decisions = o.logs.decisionLog(n.log)
	if n.journal, err = journal.Open(o.data.journal(), journal.Options{OnSync: metrics.Synced}); err != nil {
		return err
	}
	n.journalled = n.journal.Stats().Appended
	if n.pending, err = journal.Open(o.data.pending(), journal.Options{SegmentBytes: pendingSegment}); err != nil {
		return err
	}
	if err := n.serve(ctx, o, nl, ring, metrics); err != nil {
		return err
	}
	n.follow()
	n.followLaw(book, seen, metrics)
	n.gauges(o, metrics)
	metrics.LogLines(o.logs.service, n.decisions, o.logs.decisionFile)
	n.watchParts(metrics)
	if err := n.servePages(o, metrics); err != nil {
		return err
	}
	if err := n.openDoors(o); err != nil {
		return err
	}
	return n.exchange.serve(n.server, n.doors.names, n.log)
}

// pendingSegment is small: few objections ever wait.
const pendingSegment = 1 << 20

// listen takes the ports first, so that a port in use changes nothing on disk.
func (n *node) listen(o nodeOptions) error {
	for _, l := range []struct {
		to      *net.Listener
		flag    string
		address string
		tls     bool
	}{{&n.grpc, "grpc", o.grpc, o.certificate != ""}, {&n.opsOn, "ops", o.ops, o.certificate != ""},
		{&n.doors.on, "http", o.http, o.certificate != ""}} {
		if l.address == "" && l.flag == "http" {
			continue
		}
		listener, err := net.Listen("tcp", l.address)
		if err != nil {
			return fmt.Errorf("--%s: %w", l.flag, err)
		}
		n.bounded[l.flag] = server.BoundConnections(listener, o.connections)
		*l.to = n.bounded[l.flag]
		if err := server.CheckListener(listener.Addr(), l.tls, o.plaintext); err != nil {
			return fmt.Errorf("--%s: %w", l.flag, err)
		}
	}
	return n.exchange.open(o.plaintext)
}

// openKeys opens the deployment's key and makes sure that the ledger was written under it. The first API key is made where
// the data folder's own key file counts.
func openKeys(ctx context.Context, store ledger.Ledger, o nodeOptions) (*keyring.Ring, error) {
	const name = "deployment-key"
	data := o.data
	_, err := os.Stat(data.deploymentKey())
	absent := errors.Is(err, os.ErrNotExist)
	if _, err := store.Meta(ctx, name); err == nil && absent {
		return nil, fmt.Errorf("%s is missing, but the ledger was written under it: put it back", data.deploymentKey())
	} else if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return nil, err
	}
	ring, _, err := keyring.Open(string(data))
	if err != nil {
		return nil, err
	}
	stands, err := store.SetMeta(ctx, name, []byte(ring.CheckValue()))
	if err != nil {
		return nil, err
	}
	if string(stands) != ring.CheckValue() {
		return nil, fmt.Errorf("%s is another deployment's key: the ledger was written under key %s, this is %s",
			data.deploymentKey(), stands, ring.CheckValue())
	}
	if o.keys != "" {
		return ring, nil
	}
	return ring, data.createKeys()
}

func newMetrics(nl *eligibility.Law) *ops.Metrics {
	return ops.New(decisionWords(), ops.Build{Version: version, GoVersion: runtime.Version(), LawVersion: nl.Version})
}

func decisionWords() ops.Words {
	return ops.Words{Verdicts: wordsUpTo(eligibility.Defer), Reasons: wordsUpTo(eligibility.Unavailable)}
}

func wordsUpTo[W interface {
	eligibility.Verdict | eligibility.Reason
	String() string
}](last W) []string {
	words := make([]string, int(last)+1)
	for w := W(1); w <= last; w++ {
		if eligibility.Known(w) {
			words[w] = w.String()
		}
	}
	return words
}

func (n *node) serve(ctx context.Context, o nodeOptions, nl *eligibility.Law, ring *keyring.Ring, metrics *ops.Metrics) error {
	reloaded := func(file string) func(error) { return n.reloaded(metrics, file) }
	keyFile := o.keys
	if keyFile == "" {
		keyFile = o.data.keyFile()
	}
	keys, err := server.OpenKeys(keyFile, reloaded("api-keys"))
	if err != nil {
		return err
	}
	permits, err := permit.OpenKeys(o.data.permitKeys(), ring.PermitSeed(), reloaded("permit-keys"))
	if err != nil {
		return err
	}
	store := register{n.ledger}
	config := server.Config{
		Permits: signing{permits},
		Facts:   store, ManyFacts: store, Appender: store, Eraser: store, Disposer: store, Walk: store, Decisions: store, Allowed: store, Happened: store, Lease: server.Alone{}, Journal: n.journal, Pending: n.pending,
		Journalled: n.journalled, Law: nl, ParseLaw: law.Parse, Ring: ring, Keys: keys,
		Log: n.log, Metrics: metrics, Traces: n.traces, DecisionLog: n.decisions, Reflection: n.grpc.Addr().(*net.TCPAddr).IP.IsLoopback(),
		Checks: o.checks, Patience: o.patience, RemoteCache: o.redis != "", AllowWindow: o.allowWindow, ScreenedPerHour: o.screenLimit, WarmedPerSecond: o.warmRate, Uptime: fence.Uptime, Lately: lately(fence.Uptime),
	}
	if n.shared != nil {
		config.Lease = &n.lease
	}
	if err := n.openCache(ctx, o, ring, metrics, &config); err != nil {
		return err
	}
	if o.certificate != "" {
		if config.TLS, err = server.TLSConfig(server.GRPC, o.certificate, o.key, o.clients, reloaded("certificate")); err != nil {
			return err
		}
	}
	if n.server, err = server.New(config); err != nil {
		return err
	}
	if err := n.server.RefreshCatalogue(ctx); err != nil {
		return err
	}
	if err := n.openFence(ctx, o); err != nil {
		return err
	}
	if err := n.replay(ctx); err != nil {
		return err
	}
	listener := n.grpc
	n.serving = listener.Addr()
	n.grpc = nil // the server closes it
	return n.server.Start(listener)
}

// reloaded says what became of a file that was read again.
func (n *node) reloaded(metrics *ops.Metrics, file string) func(error) {
	return func(err error) {
		metrics.Reloaded(file, err)
		if err != nil {
			n.log.Error("a changed file is wrong; what was in force stays so", zap.String("file", file), zap.Error(err))
			return
		}
		n.log.Info("file read again", zap.String("file", file))
	}
}

// followLaw puts a changed law file in force, and one that SIGHUP asks to be read again.
func (n *node) followLaw(book lawFile, seen string, metrics *ops.Metrics) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	ctx, stop := context.WithCancel(context.Background())
	stopDecisions := n.stopFollowing
	n.stopFollowing = func() {
		signal.Stop(again)
		stop()
		stopDecisions()
	}
	n.following.Go(func() { book.follow(ctx, seen, again, n.server.UseLaw, n.reloaded(metrics, "law")) })
}

// replay goes on to bring pending objections to the ledger, and returns when those of an earlier run are there: a node that
// served before would allow calls against objections that it had taken itself.
func (n *node) replay(ctx context.Context) error {
	following, stop := context.WithCancel(context.Background())
	n.stopFollowing = stop
	n.following.Go(func() { n.replayed = n.followPending(following) })
	last := n.pending.Stats().Appended
	if last == 0 || mutantServeBeforeReplay {
		return nil
	}
	if err := n.pending.Shipped(ctx, last); err != nil {
		return fmt.Errorf("the pending objections of an earlier run: %w", err)
	}
	return nil
}

// follow lets the ledger have the journal's decisions.
func (n *node) follow() {
	ctx, stop := context.WithCancel(context.Background())
	stopReplay := n.stopFollowing
	n.stopFollowing = func() {
		stop()
		stopReplay()
	}
	n.following.Go(func() {
		// A decision costs the ledger half in a large batch: the pages of its indexes are written once for all. Whoever
		// looks for decisions has what is in the journal shipped at once.
		n.followed = n.journal.Follow(ctx, shipping{n.ledger}, journal.FollowOptions{
			BatchRecords: 1024, Delay: 250 * time.Millisecond,
			OnError: func(err error) { n.log.Warn("decisions wait for the ledger", zap.Error(err)) },
		})
	})
	if n.fence != nil {
		n.following.Go(func() { n.watchFence(ctx) })
	}
}

func (n *node) gauges(o nodeOptions, metrics *ops.Metrics) {
	metrics.JournalLag(n.journal.Lag)
	metrics.JournalGroups(func() ([]uint64, uint64) {
		s := n.journal.Stats()
		return s.GroupSizes[:], s.Appended - n.journalled
	})
	metrics.Gauge("belpoort_journal_bytes", "Size of the journal's files.", func() float64 { return float64(n.journal.Stats().Bytes) })
	diskGauges(metrics, o.data)
	metrics.Gauge("belpoort_pending_objections", "Objections that wait on this node for the ledger.", func() float64 {
		return float64(n.server.PendingObjections())
	})
	metrics.Gauge("belpoort_pending_objection_age_seconds", "How long the first of them has waited.", func() float64 {
		return n.server.OldestPending().Seconds()
	})
	metrics.Gauge("belpoort_checks_in_flight", "Checks under way.", func() float64 {
		checks, _ := n.server.UnderWay()
		return float64(checks)
	})
	metrics.Gauge("belpoort_writes_in_flight", "Requests under way that change the ledger.", func() float64 {
		_, writes := n.server.UnderWay()
		return float64(writes)
	})
	if n.fence != nil {
		fenceGauges(metrics, n.fence)
	}
	n.connectionGauges(metrics)
	metrics.Traces(n.traces)
}

// alive says why this process should be restarted, or nil.
func (n *node) alive() error { return errors.Join(n.journal.Err(), n.pending.Err()) }

func (n *node) servePages(o nodeOptions, metrics *ops.Metrics) error {
	handler, err := n.operatorsPages(o, metrics)
	if err != nil {
		return err
	}
	n.pages = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 2 * time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: zap.NewStdLog(n.log),
	}
	listener := n.opsOn
	n.servingOps = listener.Addr()
	if o.certificate != "" {
		config, err := server.TLSConfig(server.HTTP, o.certificate, o.key, o.clients, nil)
		if err != nil {
			return err
		}
		if o.clients != "" {
			n.pages.Handler = withCertificate(handler)
			config = askingForCertificate(config)
		}
		metrics.Gauge("belpoort_certificate_expiry_timestamp_seconds", "When the first of the certificates that are in force ends.", func() float64 {
			return float64(server.CertificateEnd(config).Unix())
		})
		listener = tls.NewListener(listener, config)
	}
	n.opsOn = nil // the server closes it
	go func() {
		if err := n.pages.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("metrics and health are no longer served", zap.Error(err))
		}
	}()
	return nil
}

// wait returns when the node must stop: asked to, or because the journal failed, after which no ALLOW is possible.
func (n *node) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.journal.Failed():
		return fmt.Errorf("stopping: %w", n.journal.Err())
	case <-n.pending.Failed():
		return fmt.Errorf("stopping: %w", n.pending.Err())
	case err := <-n.server.Served():
		return err
	}
}

// stop turns health red, finishes what is under way and closes. It may be called on a node that never started.
func (n *node) stop() error {
	errs := n.stopServing()
	for _, l := range []net.Listener{n.grpc, n.opsOn, n.doors.on} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	if n.pages != nil {
		errs = append(errs, n.pages.Close())
	}
	if n.fence != nil {
		errs = append(errs, n.leave())
	}
	errs = append(errs, n.stopJournals())
	if n.redis != nil {
		errs = append(errs, n.redis.Close())
	}
	if n.ledger != nil {
		errs = append(errs, n.ledger.Close())
	}
	n.decisions.Close()
	errs = append(errs, n.traces.Close())
	return errors.Join(errs...)
}

// stopServing lets the doors' requests finish first: they need the server.
func (n *node) stopServing() []error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	errs := []error{n.exchange.close(ctx), n.doors.stop(ctx)}
	if n.server != nil {
		errs = append(errs, n.server.Stop(ctx))
	}
	return errs
}

// leave tells the other nodes that they need not wait for this one. When it cannot, they wait until the lease has run out.
func (n *node) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := n.fence.Close(ctx); err != nil {
		n.log.Warn("the lease was not given up", zap.Error(err))
	}
	return nil
}

// stopJournals gives the last decisions some time to reach the ledger; what does not is shipped after the next start.
func (n *node) stopJournals() error {
	var errs []error
	if n.journal != nil {
		n.ship()
	}
	n.stopFollowing()
	n.following.Wait()
	for _, ended := range []error{n.followed, n.replayed} {
		if ended != nil && !errors.Is(ended, context.Canceled) {
			n.log.Error("a journal was not followed to its end", zap.Error(ended))
		}
	}
	for _, j := range []*journal.Journal{n.journal, n.pending} {
		if j != nil {
			errs = append(errs, j.Close())
		}
	}
	return errors.Join(errs...)
}

func (n *node) ship() {
	ctx, cancel := context.WithTimeout(context.Background(), shipTime)
	defer cancel()
	if err := n.journal.Sync(ctx); err == nil {
		if last := n.journal.Stats().Appended; last > 0 {
			_ = n.journal.Shipped(ctx, last)
		}
	}
}

func keyEntry(id, sum string, roles, organisations []string) string {
	quoted := slices.Clone(organisations)
	for i := range quoted {
		quoted[i] = fmt.Sprintf("%q", quoted[i])
	}
	return fmt.Sprintf("- id: %s\n  sha256: %s\n  roles: [%s]\n  organisations: [%s]\n", id, sum, join(roles), join(quoted))
}

func (n *node) addr() net.Addr { return n.serving }

func (n *node) opsAddr() net.Addr { return n.servingOps }
