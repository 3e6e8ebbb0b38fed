package loader

import (
	"io"
	"runtime"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/proto"
)

const (
	chunkRows  = 128       // rows that go through the workshop together
	chunkBytes = 256 << 10 // and about how much text, so that wide rows do not gather
)

// judgedRow is a row that was read and judged: a fact, or a fault.
type judgedRow struct {
	line  int
	fact  *belpoortv1.RecordFactRequest
	size  int // of the fact in the message that holds the batch
	fault *fault
}

// chunk is some rows in the order of the file.
type chunk struct {
	rows   []row
	judged []judgedRow
	bytes  int64 // read from the file up to here
	err    error // why there is no row after these: io.EOF, or what is wrong with the file
	done   chan struct{}
}

// chunks gives a file's chunks in their order; the last one has an error.
type chunks interface {
	next() *chunk
	close()
}

// chunkReader reads rows, passing over those that an earlier run has dealt with.
type chunkReader struct {
	from   source
	layout *layout
	read   *countingReader
	skip   uint64
}

func (c *chunkReader) fill(n int) *chunk {
	filled := &chunk{done: make(chan struct{})}
	size := 0
	for len(filled.rows) < n && size < chunkBytes && filled.err == nil {
		found, err := c.from.next()
		filled.err = err
		switch {
		case err != nil && found.fault == nil:
		case c.skip > 0 && err == nil:
			c.skip--
			c.layout.learn(found)
		default:
			for _, cell := range found.cells {
				size += len(cell)
			}
			filled.rows = append(filled.rows, found)
		}
	}
	filled.bytes = c.read.bytes
	return filled
}

func (c *chunk) judge(l *layout) {
	c.judged = make([]judgedRow, len(c.rows))
	for i, r := range c.rows {
		j := &c.judged[i]
		j.line = r.line
		if j.fact, j.fault = l.fact(r); j.fault == nil {
			j.size = proto.Size(j.fact) + 8 // its tag and length in the message that holds the batch
		}
	}
	c.rows = nil
	close(c.done)
}

// oneByOne reads and judges when it is asked. It is for files whose rows have names of their own: each may change the layout.
type oneByOne struct{ chunkReader }

func (o *oneByOne) next() *chunk {
	c := o.fill(1)
	c.judge(o.layout)
	return c
}

func (o *oneByOne) close() {}

// workshop reads ahead on a goroutine of its own, and judges on several.
type workshop struct {
	inOrder chan *chunk
	stop    chan struct{}
}

func openWorkshop(r chunkReader) *workshop {
	judges := min(runtime.GOMAXPROCS(0), 8)
	w := &workshop{inOrder: make(chan *chunk, 2*judges), stop: make(chan struct{})}
	toJudge := make(chan *chunk, 2*judges)
	for range judges {
		go func() {
			for c := range toJudge {
				c.judge(r.layout)
			}
		}()
	}
	go func() {
		defer close(toJudge)
		for {
			c := r.fill(chunkRows)
			select {
			case w.inOrder <- c:
			case <-w.stop:
				return
			}
			toJudge <- c
			if c.err != nil {
				return
			}
		}
	}()
	return w
}

func (w *workshop) next() *chunk {
	c := <-w.inOrder
	<-c.done
	return c
}

// close ends the reading ahead. It does not wait for a read that is under way: a pipe may never give more.
func (w *workshop) close() { close(w.stop) }

// openChunks chooses the way that a source's rows allow.
func openChunks(r chunkReader) chunks {
	if _, named := r.from.(*jsonLines); named {
		return &oneByOne{r}
	}
	return openWorkshop(r)
}

// ended reports that a chunk's error is the file's end.
func (c *chunk) ended() bool { return c.err == io.EOF }
