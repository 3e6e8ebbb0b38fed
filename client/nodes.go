package client

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// A node that failed failuresInRow times without a success between is passed over for a while, but for one call each
// tryAgainAfter that finds out whether it is back.
const (
	failuresInRow = 5
	tryAgainAfter = time.Second
)

// node is one connection, and what is known about its other end.
type node struct {
	conn     *grpc.ClientConn
	failures atomic.Int32 // in a row
	tried    atomic.Int64 // when it was last tried though it fails, in Unix nanoseconds
	stop     context.CancelFunc
	watching sync.WaitGroup
}

// stayConnected connects now, and again whenever the service has ended the connection for its age.
func (n *node) stayConnected() {
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.conn.Connect()
	n.watching.Go(func() {
		for state := n.conn.GetState(); n.conn.WaitForStateChange(ctx, state); {
			if state = n.conn.GetState(); state == connectivity.Idle {
				n.conn.Connect()
			}
		}
	})
}

func (n *node) close() error {
	n.stop()
	err := n.conn.Close()
	n.watching.Wait()
	return err
}

// works tells whether a call is worth sending there.
func (n *node) works(now time.Time) bool {
	if n.conn.GetState() == connectivity.TransientFailure {
		return false
	}
	if n.failures.Load() < failuresInRow {
		return true
	}
	last := n.tried.Load()
	return now.UnixNano()-last > int64(tryAgainAfter) && n.tried.CompareAndSwap(last, now.UnixNano())
}

// heard notes how a call ended. A refusal of the request shows that the node works.
func (n *node) heard(err error) {
	switch status.Code(err) {
	case codes.Canceled:
	case codes.Unavailable, codes.DeadlineExceeded:
		if n.failures.Add(1) == failuresInRow {
			n.tried.Store(time.Now().UnixNano())
		}
	default:
		n.failures.Store(0)
	}
}

// nodes are those of one deployment, in the order of preference.
type nodes []*node

// pick gives the first node that works, else the first.
func (all nodes) pick(now time.Time) *node {
	for _, n := range all {
		if n.works(now) {
			return n
		}
	}
	return all[0]
}

// other gives another node that works, or nil.
func (all nodes) other(than *node, now time.Time) *node {
	for _, n := range all {
		if n != than && n.works(now) {
			return n
		}
	}
	return nil
}

// Invoke sends a call to the first node that works; it makes nodes a grpc.ClientConnInterface.
func (all nodes) Invoke(ctx context.Context, method string, request, answer any, options ...grpc.CallOption) error {
	n := all.pick(time.Now())
	err := n.conn.Invoke(ctx, method, request, answer, options...)
	n.heard(err)
	return err
}

// NewStream opens a stream to the first node that works.
func (all nodes) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return all.pick(time.Now()).conn.NewStream(ctx, desc, method, options...)
}
