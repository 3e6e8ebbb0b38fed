package bench

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// groupLog is the least that a durable answer costs: records of one length appended to a file, and one fdatasync for all
// that came in while the one before was under way. It is not meant to be read again: at its end it begins anew.
type groupLog struct {
	file   *os.File
	size   int64
	record []byte

	mu      sync.Mutex
	open    *group
	closing bool
	wake    chan struct{}
	done    chan struct{}
}

// group is the records of one write.
type group struct {
	records int
	synced  chan struct{} // closed when err is known
	err     error
}

func newGroup() *group { return &group{synced: make(chan struct{})} }

// openGroupLog makes a file of a size that is on disk already, so that a sync has the data alone to write.
func openGroupLog(folder string, recordBytes int, size int64) (*groupLog, error) {
	file, err := os.Create(filepath.Join(folder, "baseline.log"))
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < size && err == nil; at += int64(len(zeros)) {
		_, err = file.WriteAt(zeros, at)
	}
	if err := errors.Join(err, file.Sync()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	g := &groupLog{
		file: file, size: size, record: make([]byte, recordBytes), open: newGroup(),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	for i := range g.record {
		g.record[i] = byte(i) | 1
	}
	go g.write()
	return g, nil
}

// append returns when its record is on disk.
func (g *groupLog) append() error {
	g.mu.Lock()
	mine := g.open
	mine.records++
	g.mu.Unlock()
	g.signal()
	if !mutantBenchAckBeforeSync {
		<-mine.synced
	}
	return mine.err
}

func (g *groupLog) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *groupLog) write() {
	defer close(g.done)
	var buffer []byte
	var at int64
	for range g.wake {
		full, closing := g.take()
		if full.records > 0 {
			buffer = buffer[:0]
			for range full.records {
				buffer = append(buffer, g.record...)
			}
			if at+int64(len(buffer)) > g.size {
				at = 0
			}
			_, err := g.file.WriteAt(buffer, at)
			full.err = errors.Join(err, syncData(g.file))
			at += int64(len(buffer))
			close(full.synced)
		}
		if closing {
			return
		}
	}
}

func (g *groupLog) take() (*group, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	full := g.open
	g.open = newGroup()
	return full, g.closing
}

// close writes what is queued. No append may follow.
func (g *groupLog) close() error {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	g.signal()
	<-g.done
	return g.file.Close()
}
