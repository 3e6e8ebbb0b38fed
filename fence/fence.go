// Package fence tells whether this node may still trust what it holds in memory: it keeps the floors of revoked callees,
// the node's lease from the ledger, and the waiting of writers for the other nodes. It knows callee tokens, positions and
// this machine's boot-time clock; it must not know what a fact means, how a verdict is reached, or what the wall clock says.
//
// The promise: when Settle(position) has returned on one node, no node that answers Held and then finds a record current
// overlooks a fact at or before that position.
//
//   - A node announces itself in the ledger, and then reads what changed. Only when it has applied all that, its lease runs,
//     for Term from the sending of the announce. An append that the reading missed was committed after the announce, so its
//     writer finds the node's row and waits.
//   - A writer, after its commit and after raising its own floors, waits until every row has acknowledged the position, or
//     until every lease that can be without it has run out by the writer's own clock.
//   - Clocks may differ in rate by DriftBound from the ledger's. This is measured; without proof there is no lease.
package fence

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// NodeID names one run of one process: random, drawn anew by each Open.
type NodeID [16]byte

// Change is one recorded fact, without its content.
type Change struct {
	Position uint64
	Callee   eligibility.CalleeToken // zero: the catalogue
	Aside    bool                    // concerns neither a callee nor the catalogue: nobody relies on it
}

// Node is a process that may hold a lease.
type Node struct {
	ID   NodeID
	Name string
	// Applied is the last position the node is known to have applied.
	Applied uint64
	// Announced changes with every Announce, to a number that this ID never had before, also after its row was removed.
	Announced uint64
}

// Announcer keeps the rows of nodes.
type Announcer interface {
	// Announce puts the node's row in the ledger, durably, and gives the ledger's clock. Every Nodes and every Changes that
	// begins after it returned sees what was committed before. After an error the outcome is unknown.
	Announce(ctx context.Context, id NodeID, name string, applied uint64) (ledgerTime time.Time, err error)
	// Acknowledge raises the row's position and never lowers it. It does nothing without a row, and may be forgotten.
	Acknowledge(ctx context.Context, id NodeID, applied uint64) error
	// Leave removes the row.
	Leave(ctx context.Context, id NodeID) error
}

// Roll reads the rows of nodes.
type Roll interface {
	Nodes(ctx context.Context) ([]Node, error)
	// Lapse removes the row unless it was announced again, in one atomic step.
	Lapse(ctx context.Context, id NodeID, announced uint64) error
}

// History reads what was recorded. Positions have no gaps, and their order is the order of commits.
type History interface {
	// Changes gives the changes after a position, in order, at most limit; none only when there are none. head is the last
	// position of the same reading.
	Changes(ctx context.Context, after uint64, limit int) (changes []Change, head uint64, err error)
	// Wait returns when there is a change after a position. It may be late: every renewal reads the changes too.
	Wait(ctx context.Context, after uint64) error
	// PositionAt is the last position recorded at or before t, 0 for none.
	PositionAt(ctx context.Context, t time.Time) (uint64, error)
	// Head is the last position, 0 for none.
	Head(ctx context.Context) (uint64, error)
}

// Ledger is what the shared ledger does for the fence. Its methods may be called at the same time, and return soon after
// their context has ended.
type Ledger interface {
	Announcer
	Roll
	History
}

// Floors hold the position of the last fact about each callee. Their methods may be called at the same time.
type Floors interface {
	// Raise says that a fact about the callee stands at position. It never lowers a floor.
	Raise(callee eligibility.CalleeToken, position uint64)
	// DropBefore refuses from now on every record read before position, whoever it is about.
	DropBefore(position uint64)
}

// ErrOptions says which option is missing or out of range.
var ErrOptions = errors.New("fence: bad option")

// Options make a fence. A zero field means its default, where there is one.
type Options struct {
	Ledger Ledger
	Floors Floors
	// Name is for people, 1 to 200 bytes.
	Name string
	// Term is how long a lease lasts: 100 ms to 1 min, default 2 s. All nodes of a deployment must have the same.
	Term time.Duration
	// DriftBound is by how much this machine's clock may differ in rate from the ledger's, as a fraction: 0.001 to 0.1,
	// default 0.01. All nodes must have the same.
	DriftBound float64
	// Clock counts the time since some moment, also while the machine sleeps, and never jumps. Default: the boot-time clock
	// on Linux, the monotonic clock elsewhere.
	Clock func() time.Duration
	// Snapshot loads the floors of the last 24 hours before the first lease. Without it the node refuses all records read
	// before it started, which suits a cache that starts empty.
	Snapshot bool
	// Catalogue puts the catalogue that stands at or after position in force, before it returns without error. It is called
	// at the start and after every change of the catalogue, never twice at once, and must not put anything in force after
	// its context has ended. While it fails the node has no new lease.
	Catalogue func(ctx context.Context, position uint64) error
	// Changed, if set, is told of every change of a callee after its floor was raised; possibly more than once.
	Changed func(callee eligibility.CalleeToken, position uint64)
	// OnError, if set, is told of every failure in the background. It must not block.
	OnError func(error)
}

const (
	defaultTerm       = 2 * time.Second
	defaultDriftBound = 0.01
	longestName       = 200
)

func (o Options) withDefaults() (Options, error) {
	if o.Term == 0 {
		o.Term = defaultTerm
	}
	if o.DriftBound == 0 {
		o.DriftBound = defaultDriftBound
	}
	if o.Clock == nil {
		o.Clock = bootTime
	}
	switch {
	case o.Ledger == nil:
		return o, fmt.Errorf("%w: Ledger is missing", ErrOptions)
	case o.Floors == nil:
		return o, fmt.Errorf("%w: Floors is missing", ErrOptions)
	case o.Catalogue == nil:
		return o, fmt.Errorf("%w: Catalogue is missing", ErrOptions)
	case o.Name == "" || len(o.Name) > longestName:
		return o, fmt.Errorf("%w: Name has %d bytes, want 1 to %d", ErrOptions, len(o.Name), longestName)
	case o.Term < 100*time.Millisecond || o.Term > time.Minute:
		return o, fmt.Errorf("%w: Term is %v, want 100ms to 1m", ErrOptions, o.Term)
	case !(o.DriftBound >= 0.001 && o.DriftBound <= 0.1):
		return o, fmt.Errorf("%w: DriftBound is %v, want 0.001 to 0.1", ErrOptions, o.DriftBound)
	}
	return o, nil
}

// Fence is this process's part in the protocol. Its methods may be called at the same time.
type Fence struct {
	opts Options
	life context.Context
	end  context.CancelFunc
	busy sync.WaitGroup

	catalogue chan struct{} // holds a token while Catalogue is called
	progress  chan struct{} // has a token when there may be something to acknowledge

	mu       sync.Mutex // guards all below, and core but for held
	core     *core
	settlers int           // Settle calls that wait
	polling  bool          // a goroutine reads the nodes for them
	settled  chan struct{} // closed, and replaced, when more positions are settled
	lastErr  error         // of the last attempt at a renewal
}

// Open joins the ledger's nodes and returns once the node has a lease, or is known not to get one because its clock drifts
// (see State). Until ctx ends it tries again; then it fails, and nothing is left behind but perhaps a row that will lapse.
func Open(ctx context.Context, opts Options) (*Fence, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Fence{
		opts: opts, catalogue: make(chan struct{}, 1), progress: make(chan struct{}, 1), settled: make(chan struct{}),
	}
	f.core = newCore(newID(), rules{opts.Term, opts.DriftBound}, opts.Floors, opts.Changed)
	f.life, f.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := f.join(ctx); err != nil {
		f.withdraw(f.life)
		f.end()
		return nil, fmt.Errorf("fence: no lease from the ledger: %w", err)
	}
	f.spawn(f.keepLease)
	f.spawn(f.followTail)
	f.spawn(f.acknowledge)
	f.spawn(f.keepHouse)
	return f, nil
}

func newID() (id NodeID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

func (f *Fence) spawn(work func()) { f.busy.Go(work) }

// Held reports whether the lease runs now. Ask it first, and only then whether the record is current and the catalogue
// that was decided with is still in force: the other way round a renewal may come between. It does not allocate or block.
func (f *Fence) Held() bool { return f.core.held(f.opts.Clock()) }

// State is for health pages and metrics.
type State struct {
	Held      bool
	Remaining time.Duration // of the lease, 0 when it does not run
	Applied   uint64        // every change up to here is heeded
	Head      uint64        // the ledger's last position, as last seen
	// Drift is by which fraction this clock is faster (or slower: negative) than the ledger's, as last measured.
	Drift float64
	// DriftExceeded means that ALLOW is withheld because of Drift.
	DriftExceeded bool
	Nodes         []Node // as last read, this one among them
	LastError     error  // why there is no fresh lease; nil after a renewal
	// SnapshotLoaded means that the floors are complete from the low water to Applied.
	SnapshotLoaded bool
}

// State is a consistent view of now.
func (f *Fence) State() State {
	now := f.opts.Clock()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.core.state(now)
	s.LastError = f.lastErr
	return s
}

// Close gives up the lease for ever, ends everything in the background and takes the node's row from the ledger, so that
// writers do not wait for it. Its error is that of the last; the row then lapses by itself. Settle goes on to work, by time.
func (f *Fence) Close(ctx context.Context) error {
	f.mu.Lock()
	closed := f.core.closed
	f.core.close()
	f.mu.Unlock()
	if closed {
		return nil
	}
	f.end()
	f.busy.Wait()
	return f.opts.Ledger.Leave(ctx, f.core.id)
}

// withdraw takes back the row of a node that never came to serve.
func (f *Fence) withdraw(ctx context.Context) {
	f.mu.Lock()
	f.core.close()
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, f.answerTime())
	defer cancel()
	_ = f.opts.Ledger.Leave(ctx, f.core.id) // else the row lapses
}
