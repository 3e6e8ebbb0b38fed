// Package agi is the door for Asterisk and what is built on it, such as VICIdial: FastAGI, in which the telephone exchange
// opens a connection and Belpoort sets variables in its call. It knows that conversation, and must
// not know how a decision comes about.
package agi

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/belpoort/belpoort/doors"
)

// maxConversations bounds the exchanges' connections at a time; others are closed at once, which lets no call through.
const maxConversations = 256

// Options are what a door needs.
type Options struct {
	// Gate is where questions go, with the API key that the conversation brought. Required.
	Gate *doors.Gate
	// Names are those that arguments may have. Required.
	Names *doors.Names
	// From are the networks that may connect; loopback always may. FastAGI itself knows neither passwords nor encryption.
	From []netip.Prefix
	// Log learns of conversations that broke, without what they said. Required.
	Log *zap.Logger
}

// Door holds conversations with exchanges.
type Door struct {
	gate       *doors.Gate
	names      *doors.Names
	from       []netip.Prefix
	log        *zap.Logger
	complained atomic.Int64 // in Unix seconds

	mu     sync.Mutex
	listen net.Listener
	open   map[net.Conn]bool
	closed bool
	under  sync.WaitGroup
}

// New makes a door that is not open yet.
func New(o Options) (*Door, error) {
	if o.Gate == nil || o.Names == nil || o.Log == nil {
		return nil, errors.New("agi: Options.Gate, Options.Names or Options.Log is missing")
	}
	return &Door{gate: o.Gate, names: o.Names, from: o.From, log: o.Log, open: map[net.Conn]bool{}}, nil
}

// Serve takes connections until Close, after which it returns nil. It takes the listener over.
func (d *Door) Serve(l net.Listener) error {
	d.mu.Lock()
	d.listen = l
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return l.Close()
	}
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			d.admit(conn)
		case d.isClosed():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			d.complain("a connection could not be taken", err)
			time.Sleep(10 * time.Millisecond) // such as too many open files: it passes
		}
	}
}

func (d *Door) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// admit begins a conversation, or ends the connection.
func (d *Door) admit(conn net.Conn) {
	if !d.mayEnter(conn.RemoteAddr()) {
		d.complain("a connection came from an address that may not connect", nil)
		_ = conn.Close()
		return
	}
	d.mu.Lock()
	full := len(d.open) >= maxConversations
	if d.closed || full {
		d.mu.Unlock()
		_ = conn.Close()
		if full {
			d.complain("too many conversations at once", nil)
		}
		return
	}
	d.open[conn] = true
	d.under.Add(1)
	d.mu.Unlock()
	go d.converse(conn)
}

func (d *Door) mayEnter(from net.Addr) bool {
	address, ok := from.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip := address.AddrPort().Addr().Unmap()
	if ip.IsLoopback() {
		return true
	}
	for _, network := range d.from {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

func (d *Door) converse(conn net.Conn) {
	defer d.under.Done()
	defer func() {
		d.mu.Lock()
		delete(d.open, conn)
		d.mu.Unlock()
		_ = conn.Close()
	}()
	defer func() {
		if cause := recover(); cause != nil {
			d.log.Error("panic", zap.String("in", "agi")) // without its value, which could hold a number
		}
	}()
	if err := d.hold(newConversation(conn)); err != nil && !errors.Is(err, errHungUp) {
		d.complain("a conversation broke", err)
	}
}

// complain writes a line at most once a second: what is broken must not be made worse by telling of it each time.
func (d *Door) complain(what string, err error) {
	now := time.Now().Unix()
	last := d.complained.Load()
	if now > last && d.complained.CompareAndSwap(last, now) {
		d.log.Warn("agi: "+what, zap.NamedError("cause", kindOf(err)))
	}
}

// kindOf keeps of an error what cannot hold words of the other side.
func kindOf(err error) error {
	var network net.Error
	switch {
	case err == nil, errors.As(err, new(*brokenError)):
		return err
	case errors.As(err, &network) && network.Timeout():
		return errors.New("the exchange was too slow")
	default:
		return errors.New("the connection failed")
	}
}

// Close ends the door: no connection is taken any more, and conversations are waited for until ctx ends, then cut off. What
// they began with the services comes to its end.
func (d *Door) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	listen := d.listen
	d.mu.Unlock()
	var err error
	if listen != nil {
		err = listen.Close()
	}
	ended := make(chan struct{})
	go func() {
		d.under.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		d.cut()
		<-ended
	}
	return err
}

func (d *Door) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.open {
		_ = conn.Close()
	}
}
