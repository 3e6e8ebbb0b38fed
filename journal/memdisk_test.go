package journal

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// memDisk is a directory in memory that records what is done to it, so that every state a power cut can leave may be
// built afterwards.
type memDisk struct {
	mu    sync.Mutex
	files map[string]*memFile
	made  int
	trace *trace

	gate sync.RWMutex
	life int // of the process; what an earlier one holds is dead
}

type memFile struct {
	disk *memDisk
	id   int
	data []byte
}

// memProcess is the directory as one process has it open, until it is killed.
type memProcess struct {
	*memDisk
	life int
}

type memHandle struct {
	file
	process memProcess
}

var errKilled = errors.New("process was killed")

func (d *memDisk) process() memProcess { return memProcess{d, d.life} }

// kill ends the process that has the directory open, as kill -9 does: what it wrote stays, synced or not.
func (d *memDisk) kill() {
	d.gate.Lock()
	defer d.gate.Unlock()
	d.life++
}

// alive runs what the process does, unless it was killed.
func (p memProcess) alive(do func() error) error {
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.life != p.memDisk.life {
		return errKilled
	}
	return do()
}

func (p memProcess) opened(f file, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return memHandle{f, p}, nil
}

func (p memProcess) create(name string) (f file, err error) {
	err = p.alive(func() error { f, err = p.memDisk.create(name); return err })
	return p.opened(f, err)
}

func (p memProcess) open(name string) (f file, err error) {
	err = p.alive(func() error { f, err = p.memDisk.open(name); return err })
	return p.opened(f, err)
}

func (p memProcess) rename(from, to string) error {
	return p.alive(func() error { return p.memDisk.rename(from, to) })
}

func (p memProcess) remove(name string) error {
	return p.alive(func() error { return p.memDisk.remove(name) })
}

func (p memProcess) sync() error { return p.alive(p.memDisk.sync) }

func (h memHandle) WriteAt(b []byte, off int64) (n int, err error) {
	err = h.process.alive(func() error { n, err = h.file.WriteAt(b, off); return err })
	return n, err
}

func (h memHandle) Truncate(size int64) error {
	return h.process.alive(func() error { return h.file.Truncate(size) })
}

// sync takes a little time, so that groups form and an acknowledgement that does not wait for it shows.
func (h memHandle) sync() error {
	time.Sleep(50 * time.Microsecond)
	return h.process.alive(h.file.sync)
}

func newMemDisk(t *trace) *memDisk { return &memDisk{files: map[string]*memFile{}, trace: t} }

// clone is an equal directory that records nothing.
func (d *memDisk) clone() *memDisk {
	c := newMemDisk(nil)
	for name, f := range d.files {
		c.files[name] = &memFile{disk: c, data: slices.Clone(f.data)}
	}
	return c
}

func (d *memDisk) names() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.files)), nil
}

func (d *memDisk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] != nil {
		return nil, fs.ErrExist
	}
	d.made++
	f := &memFile{disk: d, id: d.made}
	d.files[name] = f
	d.trace.add(op{kind: opName, file: f.id, name: name})
	return f, nil
}

func (d *memDisk) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[name]; f != nil {
		return f, nil
	}
	return nil, fs.ErrNotExist
}

func (d *memDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[from]
	if f == nil {
		return fs.ErrNotExist
	}
	delete(d.files, from)
	d.files[to] = f
	d.trace.add(op{kind: opName, file: f.id, name: to, from: from})
	return nil
}

func (d *memDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] == nil {
		return fs.ErrNotExist
	}
	delete(d.files, name)
	d.trace.add(op{kind: opName, name: name})
	return nil
}

func (d *memDisk) sync() error {
	d.trace.add(op{kind: opSyncNames})
	return nil
}

func (d *memDisk) path(name string) string { return name }
func (d *memDisk) close() error            { return nil }

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off > int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.data = patch(f.data, b, off)
	f.disk.trace.add(op{kind: opWrite, file: f.id, off: off, data: slices.Clone(b)})
	return len(b), nil
}

func patch(data, b []byte, off int64) []byte {
	if missing := off + int64(len(b)) - int64(len(data)); missing > 0 {
		data = append(data, make([]byte, missing)...)
	}
	copy(data[off:], b)
	return data
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

func (f *memFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.data = resize(f.data, size)
	f.disk.trace.add(op{kind: opTruncate, file: f.id, off: size})
	return nil
}

func (f *memFile) sync() error {
	f.disk.trace.add(op{kind: opSync, file: f.id})
	return nil
}

func (f *memFile) Close() error        { return nil }
func (f *memFile) reserve(int64) error { return nil }
func (f *memFile) size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.data)), nil
}

type opKind int

const (
	opWrite opKind = iota
	opTruncate
	opSync
	opName // name now means file; a rename takes from away in the same step; file 0 removes it
	opSyncNames
	opAck     // the caller was told that record off is synced
	opShipped // the shipper has the records through off
)

type op struct {
	kind       opKind
	file       int
	off        int64
	data       []byte
	name, from string
}

type trace struct {
	mu  sync.Mutex
	ops []op
}

func (t *trace) add(o op) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ops = append(t.ops, o)
}

// platter is what has been told to the disk after some first part of a trace: what must be there, and what may be.
type platter struct {
	files   map[int]*platterFile
	names   map[string]int
	pending []op // name changes since the last directory sync
	acked   uint64
	shipped uint64
}

type platterFile struct {
	sure    []byte
	pending []op
}

func newPlatter() *platter {
	return &platter{files: map[int]*platterFile{}, names: map[string]int{}}
}

func (p *platter) file(id int) *platterFile {
	if p.files[id] == nil {
		p.files[id] = &platterFile{}
	}
	return p.files[id]
}

func (p *platter) apply(o op) {
	switch o.kind {
	case opWrite, opTruncate:
		f := p.file(o.file)
		f.pending = append(f.pending, o)
	case opSync:
		f := p.file(o.file)
		f.sure = f.after(func(op) bool { return true })
		f.pending = nil
	case opName:
		p.pending = append(p.pending, o)
	case opSyncNames:
		for _, o := range p.pending {
			rename(p.names, o)
		}
		p.pending = nil
	case opAck:
		p.acked = max(p.acked, uint64(o.off))
	case opShipped:
		p.shipped = max(p.shipped, uint64(o.off))
	}
}

func rename(names map[string]int, o op) {
	delete(names, o.from)
	names[o.name] = o.file
	if o.file == 0 {
		delete(names, o.name)
	}
}

// after is the file with those of its pending sectors that reached the disk.
func (f *platterFile) after(reached func(op) bool) []byte {
	data := slices.Clone(f.sure)
	for _, o := range f.pending {
		if o.kind == opTruncate {
			if reached(o) {
				data = resize(data, o.off)
			}
			continue
		}
		for at := o.off; at < o.off+int64(len(o.data)); {
			end := min((at/sector+1)*sector, o.off+int64(len(o.data)))
			if reached(o) {
				data = patch(data, o.data[at-o.off:end-o.off], at)
			}
			at = end
		}
	}
	return data
}

// crash builds one state a power cut may leave here.
func (p *platter) crash(r *rand.Rand) *memDisk {
	names := maps.Clone(p.names)
	reached := fate(r)
	for _, o := range p.pending {
		if reached(o) {
			rename(names, o)
		}
	}
	d := newMemDisk(nil)
	for name, id := range names {
		d.files[name] = &memFile{disk: d, data: p.file(id).after(fate(r))}
	}
	return d
}

// fate decides what became of unsynced writes: none, all, the first so many, or any.
func fate(r *rand.Rand) func(op) bool {
	left := r.IntN(20)
	switch r.IntN(5) {
	case 0:
		return func(op) bool { return false }
	case 1:
		return func(op) bool { return true }
	case 2:
		return func(op) bool { left--; return left >= 0 }
	}
	chance := r.Float64()
	return func(op) bool { return r.Float64() < chance }
}
