package server

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// When there are as many connections as there may be, one from which nothing has come for quietAfter makes room for the
// next, or one that has not said anything silentAfter it was opened.
const (
	quietAfter  = 10 * time.Second
	silentAfter = time.Second
)

// Connections is a listener that holds a bounded number of connections. When it is full, the one that has been quiet for
// longest is closed for the next; if none is quiet the next is closed at once, so that its client can go elsewhere.
type Connections struct {
	net.Listener
	most int

	mu              sync.Mutex
	open            map[*connection]struct{}
	evicted, turned atomic.Uint64
}

// BoundConnections bounds the connections of a listener, to 1 at least.
func BoundConnections(l net.Listener, most int) *Connections {
	return &Connections{Listener: l, most: max(1, most), open: map[*connection]struct{}{}}
}

// Open counts the connections that are held.
func (l *Connections) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// Closed counts the connections that were closed for want of room: quiet ones, and ones that had just come.
func (l *Connections) Closed() (quiet, newcomers uint64) { return l.evicted.Load(), l.turned.Load() }

// Accept implements net.Listener.
func (l *Connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, of: l, opened: time.Now()}
		if l.admit(c) {
			return c, nil
		}
		l.turned.Add(1)
		_ = conn.Close()
	}
}

func (l *Connections) admit(c *connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.most && !mutantConnectionsUnbounded {
		quiet := l.quietest(c.opened)
		if quiet == nil {
			return false
		}
		delete(l.open, quiet)
		l.evicted.Add(1)
		_ = quiet.Conn.Close()
	}
	l.open[c] = struct{}{}
	return true
}

// quietest finds the connection that has been quiet for longest, and long enough to be closed.
func (l *Connections) quietest(now time.Time) (quietest *connection) {
	longest := time.Duration(0)
	for c := range l.open {
		heard := time.Duration(c.heard.Load())
		quiet, enough := now.Sub(c.opened)-heard, quietAfter
		if heard == 0 {
			enough = silentAfter
		}
		if quiet >= enough && quiet > longest {
			quietest, longest = c, quiet
		}
	}
	return quietest
}

// connection knows when something came over it.
type connection struct {
	net.Conn
	of     *Connections
	opened time.Time
	heard  atomic.Int64 // after opened; 0: never
}

func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(int64(time.Since(c.opened)))
	}
	return n, err
}

// CloseWrite lets the HTTP server end an answer before the connection, as it does on a bare one.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
