// Package server is the doors: the gRPC services, who may pass, what a request must hold, how long it may take, and the
// order in which a check asks its questions. It must not know how facts, decisions and records are kept: the ledger, the
// cache and the journal stand behind the small interfaces of stores.go.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/keyring"
	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Config is what a server needs. All fields but those marked optional are required.
type Config struct {
	Facts     Facts
	ManyFacts ManyFacts
	Appender  Appender
	Eraser    Eraser
	Disposer  Disposer
	Walk      CalleeWalk
	Decisions Decisions
	Allowed   AllowedCalls
	Happened  Happenings
	Cache     Cache
	Attempts  Attempts
	Floors    Floors
	Lease     Lease // Alone{} where no other node shares the ledger
	Permits   Permits
	Journal   Journal
	// Pending keeps objections that the ledger could not take; optional: they are refused then.
	Pending PendingJournal
	// Journalled is the last sequence number in the journal when the server starts; 0 for an empty one.
	Journalled uint64
	Law        *eligibility.Law // in force at the start; see UseLaw
	// ParseLaw reads a law file that a client supposes to be in force, whole; its errors name the file, line and key.
	ParseLaw func(name string, data []byte) (*eligibility.Law, error)
	Ring     *keyring.Ring
	Keys     *Keys
	Log      *zap.Logger
	Metrics  *ops.Metrics
	// Traces and DecisionLog are optional.
	Traces      *ops.Traces
	DecisionLog *ops.DecisionLog
	Clock       func() time.Time // optional: time.Now
	TLS         *tls.Config      // optional: plain text
	// Reflection offers the API's description to anybody who can connect; for loopback.
	Reflection bool
	// LedgerReads bounds how many callees' facts are read at the same time; optional: 256.
	LedgerReads int
	// Checks bounds how many calls are checked at the same time; optional: 64 for each core. Others are refused at once.
	Checks int
	// Patience is how old a check may be when its turn to compute comes, while more than half of the places are taken;
	// optional: 25 ms.
	Patience time.Duration
	// RemoteCache says that Cache asks another process, so that a check waits for it.
	RemoteCache bool
	// AllowWindow is how long an ALLOW keeps its callee from being allowed to another call; optional: not at all.
	AllowWindow time.Duration
	// ScreenedPerHour bounds how many numbers one credential may screen in an hour; optional: not at all.
	ScreenedPerHour int
	// WarmedPerSecond bounds how many callees are read for the cache ahead of their calls; optional: 20,000.
	WarmedPerSecond int
	// Uptime is a clock that nobody sets and that goes on while the machine sleeps; optional: one that does not.
	Uptime func() time.Duration
	// Lately is a reading of Uptime that may be some milliseconds old, for when a check arrived: it must not be a later one.
	// Optional: Uptime.
	Lately func() time.Duration
}

// Alone is the lease of a node that shares its ledger with no other.
type Alone struct{}

// Held is always true.
func (Alone) Held() bool { return true }

// Settle has nobody to wait for.
func (Alone) Settle(context.Context, uint64) error { return nil }

// An ALLOW may be dialed on for validFor, from when its dialer asked; one that has become as old inside is not answered.
// Reports may refer to its permit for longer.
const (
	validFor    = 2 * time.Second
	maxAllowAge = validFor
	reportFor   = 24 * time.Hour
)

func (c *Config) check() error {
	for name, present := range map[string]bool{
		"Facts": c.Facts != nil, "ManyFacts": c.ManyFacts != nil, "Appender": c.Appender != nil, "Eraser": c.Eraser != nil, "Disposer": c.Disposer != nil, "Walk": c.Walk != nil, "Decisions": c.Decisions != nil,
		"Allowed": c.Allowed != nil, "Happened": c.Happened != nil, "Cache": c.Cache != nil, "Attempts": c.Attempts != nil,
		"Floors": c.Floors != nil, "Lease": c.Lease != nil, "Permits": c.Permits != nil,
		"Journal": c.Journal != nil, "Law": c.Law != nil, "ParseLaw": c.ParseLaw != nil, "Ring": c.Ring != nil,
		"Keys": c.Keys != nil, "Log": c.Log != nil, "Metrics": c.Metrics != nil,
	} {
		if !present {
			return fmt.Errorf("server: Config.%s is missing", name)
		}
	}
	if c.LedgerReads < 0 || c.Checks < 0 || c.Patience < 0 || c.ScreenedPerHour < 0 || c.WarmedPerSecond < 0 {
		return errors.New("server: Config.LedgerReads, Checks, Patience, ScreenedPerHour or WarmedPerSecond is negative")
	}
	if c.WarmedPerSecond == 0 {
		c.WarmedPerSecond = 20_000
	}
	if c.Checks == 0 {
		c.Checks = 64 * runtime.GOMAXPROCS(0)
	}
	if c.Patience == 0 {
		c.Patience = 25 * time.Millisecond
	}
	if c.LedgerReads == 0 {
		c.LedgerReads = 256
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Uptime == nil {
		started := time.Now()
		c.Uptime = func() time.Duration { return time.Since(started) }
	}
	if c.Lately == nil {
		c.Lately = c.Uptime
	}
	return nil
}

// Server answers dialers, IVRs, back offices and compliance.
type Server struct {
	facts     *factReader
	appender  Appender
	eraser    Eraser
	disposer  Disposer
	walk      CalleeWalk
	retaining sync.Mutex // held by a run of retention
	decisions Decisions
	cache     Cache
	attempts  Attempts
	floors    Floors
	lease     Lease
	permits   Permits
	journal   Journal
	pending   *pendingObjections
	repeats   *repeats
	recent    recentCalls
	ring      *keyring.Ring
	keys      *Keys
	log       *zap.Logger
	metrics   *ops.Metrics
	traces    *ops.Traces
	written   *ops.DecisionLog
	clock     func() time.Time
	uptime    func() time.Duration
	lately    func() time.Duration
	parseLaw  func(name string, data []byte) (*eligibility.Law, error)

	allowWindow time.Duration
	remoteCache bool

	debts        *debts
	stopWatching context.CancelFunc
	watching     sync.WaitGroup

	force    atomic.Pointer[inForce]
	applying sync.Mutex // one catalogue at a time
	// journalled is the last sequence number that this process knows the journal to have given.
	journalled atomic.Uint64
	complained atomic.Int64 // when overload was last written down, in Unix seconds
	admission  *admission
	easing     *easing
	full       error         // the answer to a check that finds no place
	writes     chan struct{} // a place for each write under way
	rates      rates
	writing    sync.WaitGroup
	screenings *screenings
	ending     chan struct{} // closed by Stop: streams that may last end then
	stopOnce   sync.Once

	grpc     *grpc.Server
	inside   *inside
	health   *health.Server
	proven   atomic.Bool // the self-test passed
	stopping atomic.Bool
	// withheld, where not nil, is why health is red although the server is proven.
	withheld atomic.Pointer[error]
	served   chan error
}

// The bounds that hostile or broken clients meet first.
const (
	maxMessage       = 256 << 10
	maxStreams       = 256
	maxHeaderBytes   = 8 << 10
	maxWrites        = 1024
	handshakeTimeout = 5 * time.Second
	pingEvery        = 30 * time.Second
	pingAtMostEvery  = 10 * time.Second
	maxIdle          = 15 * time.Minute
	maxAge           = 30 * time.Minute
	ageGrace         = 30 * time.Second
)

// New makes a server that does not listen yet. It refuses a configuration that lacks something, and a method that no rule
// allows to anybody.
func New(c Config) (*Server, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Server{
		facts:    newFactReader(c.Facts, c.ManyFacts, c.LedgerReads, c.Clock),
		appender: c.Appender, eraser: c.Eraser, disposer: c.Disposer, walk: c.Walk, decisions: c.Decisions, cache: c.Cache, attempts: c.Attempts, floors: c.Floors, lease: c.Lease, permits: c.Permits,
		journal: c.Journal, pending: newPendingObjections(c.Pending), repeats: newRepeats(), uptime: c.Uptime, lately: c.Lately, allowWindow: c.AllowWindow,
		ring: c.Ring, keys: c.Keys, log: c.Log, metrics: c.Metrics, traces: c.Traces, written: c.DecisionLog, clock: c.Clock, parseLaw: c.ParseLaw,
		admission: newAdmission(c.Checks, c.Patience), easing: newEasing(), full: tooMany().GRPCStatus().Err(), remoteCache: c.RemoteCache, writes: make(chan struct{}, maxWrites), rates: rates{due: map[string]time.Duration{}}, health: health.NewServer(), served: make(chan error, 1),
		ending: make(chan struct{}), screenings: newScreenings(c.ScreenedPerHour, c.WarmedPerSecond),
	}
	s.facts.panicked = s.panicked
	s.debts, s.stopWatching = newDebts(s, c.Allowed, c.Happened), func() {}
	s.journalled.Store(c.Journalled)
	s.grpc = grpc.NewServer(s.options(c.TLS)...)
	s.register(s.grpc)
	s.setHealth(healthv1.HealthCheckResponse_NOT_SERVING)
	if c.Reflection {
		reflection.Register(s.grpc)
	}
	if err := checkRules(s.grpc.GetServiceInfo()); err != nil {
		return nil, err
	}
	if err := s.useEmptyCatalogue(c.Law); err != nil {
		return nil, err
	}
	var err error
	s.inside, err = s.openInside()
	return s, err
}

func (s *Server) options(tlsConfig *tls.Config) []grpc.ServerOption {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingAtMostEvery, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: maxIdle, MaxConnectionAge: maxAge, MaxConnectionAgeGrace: ageGrace, Time: pingEvery,
		}),
	}
	options = append(options, s.handling()...)
	if tlsConfig != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(tlsConfig)))
	}
	return options
}

// handling is what every request meets, by whatever way it comes.
func (s *Server) handling() []grpc.ServerOption {
	return []grpc.ServerOption{
		// One for each check that may be under way: a new goroutine would have to grow its stack first.
		grpc.NumStreamWorkers(uint32(cap(s.admission.places))),
		grpc.WaitForHandlers(true),
		grpc.InTapHandle(s.onHeader),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	}
}

// register offers the services.
func (s *Server) register(to *grpc.Server) {
	belpoortv1.RegisterGatekeeperServiceServer(to, &gatekeeper{s: s})
	belpoortv1.RegisterObjectionServiceServer(to, &objections{s: s})
	belpoortv1.RegisterRegisterServiceServer(to, &register{s: s})
	belpoortv1.RegisterCatalogueServiceServer(to, &catalogues{s: s})
	belpoortv1.RegisterAuditServiceServer(to, &audit{s: s})
	belpoortv1.RegisterRetentionServiceServer(to, &retention{s: s})
	healthv1.RegisterHealthServer(to, s.health)
}

func (s *Server) setHealth(status healthv1.HealthCheckResponse_ServingStatus) {
	s.health.SetServingStatus("", status)
	for _, service := range []string{
		belpoortv1.GatekeeperService_ServiceDesc.ServiceName, belpoortv1.ObjectionService_ServiceDesc.ServiceName,
		belpoortv1.RegisterService_ServiceDesc.ServiceName, belpoortv1.CatalogueService_ServiceDesc.ServiceName,
		belpoortv1.AuditService_ServiceDesc.ServiceName, belpoortv1.RetentionService_ServiceDesc.ServiceName,
	} {
		s.health.SetServingStatus(service, status)
	}
}

// Start serves on a listener, which it takes over. Health stays red, and no call is checked, until the self-test has
// passed; when it fails, the server is stopped and Start returns why.
func (s *Server) Start(l net.Listener) error {
	go func() { s.served <- s.grpc.Serve(l) }()
	s.inside.serve()
	if err := s.SelfTest(); err != nil {
		s.cut()
		return errors.Join(err, <-s.served)
	}
	watching, stop := context.WithCancel(context.Background())
	s.stopWatching = stop
	s.watching.Go(func() { s.debts.follow(watching) })
	s.proven.Store(true)
	s.showHealth()
	return nil
}

// showHealth is red as a whole, and for dialers, while nothing may be allowed; objections and facts are taken all the same.
func (s *Server) showHealth() {
	if !s.proven.Load() {
		s.setHealth(healthv1.HealthCheckResponse_NOT_SERVING)
		return
	}
	s.setHealth(healthv1.HealthCheckResponse_SERVING)
	if s.Ready() != nil {
		s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
		s.health.SetServingStatus(belpoortv1.GatekeeperService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_NOT_SERVING)
	}
}

// UnderWay counts the checks and the writes under way.
func (s *Server) UnderWay() (checks, writes int) { return len(s.admission.places), len(s.writes) }

// LedgerAway reports that the ledger has failed so often in a row that it is left alone for a moment.
func (s *Server) LedgerAway() bool { return s.facts.away() }

// Served gives the error with which serving ended by itself, or nil after Stop.
func (s *Server) Served() <-chan error { return s.served }

// Ready says why the server does not serve checks, or nil. The sentence is safe to show.
func (s *Server) Ready() error {
	switch {
	case s.stopping.Load():
		return errors.New("the server is stopping")
	case !s.proven.Load():
		return errors.New("the start-up self-test has not passed")
	}
	if because := s.withheld.Load(); because != nil {
		return *because
	}
	return nil
}

// Stop turns health red, lets requests under way finish, those included that come before their client knows, and closes. When ctx ends first, what is still under way is cut
// off; writes that have begun are waited for in any case, so that the stores behind them may be closed afterwards.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Store(true)
	s.proven.Store(s.proven.Load() && !mutantStopRefuses)
	s.health.Shutdown()
	s.stopOnce.Do(func() { close(s.ending) })
	finished := make(chan struct{})
	go func() {
		s.inside.finish()
		s.grpc.GracefulStop()
		close(finished)
	}()
	var err error
	select {
	case <-finished:
	case <-ctx.Done():
		err = fmt.Errorf("server: requests were cut off: %w", ctx.Err())
		s.cut()
		<-finished
	}
	s.stopWatching()
	s.watching.Wait()
	s.writing.Wait()
	s.facts.wait()
	return err
}

// cut ends what is under way.
func (s *Server) cut() {
	s.inside.cut()
	s.grpc.Stop()
}
