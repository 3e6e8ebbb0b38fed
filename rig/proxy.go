package rig

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy passes TCP connections on to a server, and takes faults while it runs.
type Proxy struct {
	listener net.Listener

	mu      sync.Mutex
	target  string
	fault   fault
	changed chan struct{} // closed at the next change of fault
	delay   time.Duration
	wires   func() Wire
	open    map[net.Conn]bool
	closed  bool
	work    sync.WaitGroup
}

type fault int

const (
	healthy fault = iota
	cut
	hung
)

// Wire rewrites the bytes of one connection, a chunk at a time as it comes off the socket; it may hold back what is
// incomplete. Each side is called by one goroutine. A nil side passes on what it gets; returning nil passes on nothing.
type Wire struct {
	ToServer, ToClient func([]byte) []byte
}

// StartProxy listens on a free port of 127.0.0.1 until the test ends.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		listener: l, target: target, changed: make(chan struct{}), open: map[net.Conn]bool{},
		wires: func() Wire { return Wire{} },
	}
	p.work.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Cut ends every connection, and each new one at once.
func (p *Proxy) Cut() {
	p.set(func() { p.fault = cut })
	p.drop()
}

// Hang keeps connections and takes new ones, and passes nothing on either way.
func (p *Proxy) Hang() { p.set(func() { p.fault = hung }) }

// Heal passes everything on, also what came while it hung.
func (p *Proxy) Heal() { p.set(func() { p.fault, p.delay = healthy, 0 }) }

// Delay holds everything up so long, each way.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// Target sends new connections elsewhere.
func (p *Proxy) Target(address string) { p.set(func() { p.target = address }) }

// Rewrite gives each new connection a Wire of its own.
func (p *Proxy) Rewrite(wires func() Wire) { p.set(func() { p.wires = wires }) }

// Connections is how many are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open) / 2
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}

func (p *Proxy) stop() {
	p.set(func() { p.fault, p.closed = cut, true })
	_ = p.listener.Close()
	p.drop()
	p.work.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.serve(client) })
	}
}

var errCut = errors.New("cut")

// join remembers a connection's two ends unless it may not be.
func (p *Proxy) join(client net.Conn) (server net.Conn, wire Wire, err error) {
	p.mu.Lock()
	target, wires, isCut := p.target, p.wires, p.fault == cut
	p.mu.Unlock()
	if isCut {
		return nil, Wire{}, errCut
	}
	if server, err = net.DialTimeout("tcp", target, time.Second); err != nil {
		return nil, Wire{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == cut {
		_ = server.Close()
		return nil, Wire{}, errCut
	}
	p.open[client], p.open[server] = true, true
	return server, wires(), nil
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	server, wire, err := p.join(client)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(client, server, wire.ToServer) })
	both.Go(func() { p.pass(server, client, wire.ToClient) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, client)
	delete(p.open, server)
}

// chunk is passed on when it is due.
type chunk struct {
	bytes []byte
	due   time.Time
}

func (p *Proxy) pass(from, to net.Conn, rewrite func([]byte) []byte) {
	chunks := make(chan chunk, 64)
	var sender sync.WaitGroup
	sender.Go(func() {
		for c := range chunks {
			p.send(c, to)
		}
		_ = to.Close()
	})
	for {
		buffer := make([]byte, 32<<10)
		n, err := from.Read(buffer)
		if bytes := buffer[:n]; n > 0 {
			if rewrite != nil {
				bytes = rewrite(bytes)
			}
			p.mu.Lock()
			due := time.Now().Add(p.delay)
			p.mu.Unlock()
			chunks <- chunk{bytes, due}
		}
		if err != nil {
			break
		}
	}
	close(chunks)
	sender.Wait()
}

func (p *Proxy) send(c chunk, to net.Conn) {
	time.Sleep(time.Until(c.due))
	for {
		p.mu.Lock()
		now, changed := p.fault, p.changed
		p.mu.Unlock()
		if now != hung {
			break
		}
		<-changed
	}
	_, _ = to.Write(c.bytes)
}
