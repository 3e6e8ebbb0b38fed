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
	"github.com/belpoort/belpoort/journal"
	"github.com/belpoort/belpoort/keyring"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ops"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/server"
)

// nodeOptions are what `serve` can be told.
type nodeOptions struct {
	data                      folder
	grpc, http                string // addresses
	certificate, key, clients string // TLS files; "" for none
	plaintext                 bool   // beyond loopback without TLS
	keys                      string // key file; "" for the data folder's own
	law                       string // folder with the law; "" for the law of this binary
	cacheBytes                int64
	log                       *zap.Logger
}

// node is one running Belpoort.
type node struct {
	log                  *zap.Logger
	ledger               ledger.Ledger
	journal              *journal.Journal
	server               *server.Server
	grpc                 net.Listener
	http                 *http.Server
	httpOn               net.Listener
	serving, servingHTTP net.Addr

	stopFollowing context.CancelFunc
	following     sync.WaitGroup
	followed      error
}

// The patience of a stop: requests under way, then decisions on their way to the ledger.
const (
	drainTime = 10 * time.Second
	shipTime  = 5 * time.Second
)

// startNode opens everything, proves itself and serves. What it opened it closes when it fails.
func startNode(ctx context.Context, o nodeOptions) (*node, error) {
	n := &node{log: o.log, stopFollowing: func() {}}
	if err := n.start(ctx, o); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

func (n *node) start(ctx context.Context, o nodeOptions) error {
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
	store, err := ledger.OpenSQLite(ctx, o.data.ledger(), ledger.Options{})
	if err != nil {
		return err
	}
	n.ledger = store
	ring, err := openKeys(ctx, store, o.data)
	if err != nil {
		return err
	}
	if n.journal, err = journal.Open(o.data.journal(), journal.Options{}); err != nil {
		return err
	}
	metrics := newMetrics(nl)
	if err := n.serve(ctx, o, nl, ring, metrics); err != nil {
		return err
	}
	n.follow(store)
	n.followLaw(book, seen, metrics)
	metrics.JournalLag(n.journal.Lag)
	return n.servePages(o, metrics)
}

// listen takes the ports first, so that a port in use changes nothing on disk.
func (n *node) listen(o nodeOptions) error {
	for _, l := range []struct {
		to      *net.Listener
		flag    string
		address string
		tls     bool
	}{{&n.grpc, "grpc", o.grpc, o.certificate != ""}, {&n.httpOn, "http", o.http, o.certificate != ""}} {
		listener, err := net.Listen("tcp", l.address)
		if err != nil {
			return fmt.Errorf("--%s: %w", l.flag, err)
		}
		*l.to = listener
		if err := server.CheckListener(listener.Addr(), l.tls, o.plaintext); err != nil {
			return fmt.Errorf("--%s: %w", l.flag, err)
		}
	}
	return nil
}

// openKeys opens the deployment's key and makes sure that the ledger was written under it.
func openKeys(ctx context.Context, store ledger.Ledger, data folder) (*keyring.Ring, error) {
	const name = "deployment-key"
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
	return ring, data.createKeys()
}

func newMetrics(nl *eligibility.Law) *ops.Metrics {
	words := ops.Words{Verdicts: wordsUpTo(eligibility.Defer), Reasons: wordsUpTo(eligibility.Unavailable)}
	return ops.New(words, ops.Build{Version: version, GoVersion: runtime.Version(), LawVersion: nl.Version})
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
	memory := cache.NewMemory[*eligibility.Eligibility](cache.Options{MaxBytes: o.cacheBytes})
	store := register{n.ledger}
	config := server.Config{
		Facts: store, Appender: store, Decisions: store, Cache: memory, Floors: memory, Journal: n.journal,
		Journalled: n.journal.Stats().Appended, Law: nl, ParseLaw: law.Parse, Ring: ring, Keys: keys,
		Log: n.log, Metrics: metrics, Reflection: n.grpc.Addr().(*net.TCPAddr).IP.IsLoopback(),
	}
	if o.certificate != "" {
		if config.TLS, err = server.TLSConfig(server.GRPC, o.certificate, o.key, o.clients, reloaded("certificate")); err != nil {
			return err
		}
	}
	cacheGauges(metrics, memory)
	s, err := server.New(config)
	if err != nil {
		return err
	}
	if err := useCatalogue(ctx, s, n.ledger); err != nil {
		return err
	}
	n.server = s
	listener := n.grpc
	n.serving = listener.Addr()
	n.grpc = nil // the server closes it
	return s.Start(listener)
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

// useCatalogue puts the ledger's newest catalogue in force.
func useCatalogue(ctx context.Context, s *server.Server, store ledger.Ledger) error {
	entry, found, err := store.LatestOfKind(ctx, record.KindCatalogue, 0)
	if err != nil || !found {
		return err
	}
	return s.UseCatalogue(entry.Position, entry.Payload)
}

func cacheGauges(metrics *ops.Metrics, memory *cache.Memory[*eligibility.Eligibility]) {
	metrics.Gauge("belpoort_cache_bytes", "Memory that eligibility records and floors take.", func() float64 {
		return float64(memory.Stats().Bytes)
	})
	metrics.Gauge("belpoort_cache_records", "Eligibility records in the cache.", func() float64 {
		return float64(memory.Stats().Records)
	})
}

// follow lets the ledger have the journal's decisions.
func (n *node) follow(store ledger.Ledger) {
	ctx, stop := context.WithCancel(context.Background())
	n.stopFollowing = stop
	n.following.Go(func() {
		n.followed = n.journal.Follow(ctx, shipping{store}, journal.FollowOptions{
			OnError: func(err error) { n.log.Warn("decisions wait for the ledger", zap.Error(err)) },
		})
	})
}

func (n *node) servePages(o nodeOptions, metrics *ops.Metrics) error {
	live := func() error { return n.journal.Err() }
	n.http = &http.Server{
		Handler: metrics.Handler(live, n.server.Ready), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: zap.NewStdLog(n.log),
	}
	listener := n.httpOn
	n.servingHTTP = listener.Addr()
	if o.certificate != "" {
		config, err := server.TLSConfig(server.HTTP, o.certificate, o.key, o.clients, nil)
		if err != nil {
			return err
		}
		listener = tls.NewListener(listener, config)
	}
	n.httpOn = nil // the server closes it
	go func() {
		if err := n.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
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
	case err := <-n.server.Served():
		return err
	}
}

// stop turns health red, finishes what is under way and closes. It may be called on a node that never started.
func (n *node) stop() error {
	var errs []error
	if n.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		errs = append(errs, n.server.Stop(ctx))
	}
	for _, l := range []net.Listener{n.grpc, n.httpOn} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	if n.http != nil {
		errs = append(errs, n.http.Close())
	}
	errs = append(errs, n.stopJournal())
	if n.ledger != nil {
		errs = append(errs, n.ledger.Close())
	}
	return errors.Join(errs...)
}

// stopJournal gives the last decisions some time to reach the ledger; what does not is shipped after the next start.
func (n *node) stopJournal() error {
	if n.journal == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), shipTime)
	defer cancel()
	if err := n.journal.Sync(ctx); err == nil {
		if last := n.journal.Stats().Appended; last > 0 {
			_ = n.journal.Shipped(ctx, last)
		}
	}
	n.stopFollowing()
	n.following.Wait()
	if n.followed != nil && !errors.Is(n.followed, context.Canceled) {
		n.log.Error("decisions were not shipped", zap.Error(n.followed))
	}
	return n.journal.Close()
}

func keyEntry(id, sum string, roles, organisations []string) string {
	quoted := slices.Clone(organisations)
	for i := range quoted {
		quoted[i] = fmt.Sprintf("%q", quoted[i])
	}
	return fmt.Sprintf("- id: %s\n  sha256: %s\n  roles: [%s]\n  organisations: [%s]\n", id, sum, join(roles), join(quoted))
}

func (n *node) addr() net.Addr { return n.serving }

func (n *node) httpAddr() net.Addr { return n.servingHTTP }
