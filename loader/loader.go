// Package loader brings files into the register: rows of CSV become facts, each row whole or not at all, and every row
// that does not make it stands in a rejects file with its line, column and reason. It knows how people write files. It
// must not know who keeps the facts (a Recorder is handed in), what follows from them, or the deployment's keys.
package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Limits on what comes in from outside. A file may be as long as it likes: memory does not grow with it.
const (
	MaxRow       = 64 << 10  // bytes of one row, header included
	MaxColumns   = 200       // cells of one row
	MaxBatch     = 500       // facts handed to a Recorder at once
	MaxBatchSize = 190 << 10 // bytes of these facts in protobuf: a RecordFactsRequest stays under 200 KiB
	maxRequestID = 128
)

// Recorder keeps facts. One call is one batch of at most MaxBatch facts and MaxBatchSize bytes. A fact with an empty
// request_id gets one from its content, so that handing it over again changes nothing. An error means that nobody knows
// what became of the batch; Import then stops. With Options.UnderWay above 1, Record is called for several batches at once.
type Recorder interface {
	Record(ctx context.Context, facts []*belpoortv1.RecordFactRequest) (Result, error)
}

// Result tells what became of a batch: Recorded + Unchanged + len(Rejected) is its length.
type Result struct {
	Recorded  uint64
	Unchanged uint64 // had been recorded before
	Rejected  []Rejected
	Mark      Mark
}

// Mark is a place in the ledger that facts went into, as it tells that ledger from others; the zero value is none.
type Mark struct {
	Position uint64
	Hash     []byte
}

// Rejected is a fact of a batch that was not recorded.
type Rejected struct {
	Index       int    // its place in the batch, from 0
	Field       string // its path, such as "fact.consent.give_time"
	Description string // never holds a telephone number
}

// Options say what to import.
type Options struct {
	Kind Kind
	// Name is the source's own name, such as "crm": request ids made from a file's record ids begin with it, so it must
	// stay the same from file to file. Required for a file with such a column. 1 to 64 letters, digits, dots, hyphens, underscores.
	Name string
	// Rejects takes the rejects file, CSV with a header. It is written to only if a row is rejected. nil: rejects are only counted.
	Rejects io.Writer
	// BatchSize is the number of facts handed over at once, at most MaxBatch. 0: MaxBatch.
	BatchSize int
	// UnderWay is how many batches are handed over at once, at most MaxUnderWay: then Record is called from as many goroutines.
	// Fewer are where answers are slow. 0: one.
	UnderWay int
	// DryRun reads and judges the file and hands nothing over; the Recorder may be nil.
	DryRun bool
	// IgnoreUnknown passes over columns that the kind does not know. Otherwise they are an error: a misspelt header would lose data.
	IgnoreUnknown bool
	// Mapping says what the columns of this source mean; nil: what their names say.
	Mapping *Mapping
	// Resume is how far an earlier run of this very import came: rows before are passed over, and counted as they were.
	Resume Checkpoint
	// Clock tells what day is today; nil: time.Now.
	Clock func() time.Time
	// Progress is called after every batch, in the order of the file, on the goroutine of Import.
	Progress func(Progress)
}

// Progress tells how far an import is.
type Progress struct {
	Bytes int64 // read from the file
	Checkpoint
}

// Checkpoint is a place between two rows: every row before it has been dealt with, and counted in the Report.
type Checkpoint struct {
	Report
	RejectsBytes int64 // length of the rejects file
	Mark         Mark  // the last one of the rows before
}

// Report counts rows; blank rows and the header are none. Rows is the sum of Recorded, Unchanged, Rejected, Unconfirmed
// and Valid, but for rows that still wait for their batch while the import runs.
type Report struct {
	Rows        uint64
	Recorded    uint64
	Unchanged   uint64
	Rejected    uint64
	Unconfirmed uint64 // in a batch that ended in an error: recorded or not, and safe to hand over again
	Valid       uint64 // dry run only: would have been handed over
	Reasons     map[Reason]uint64
}

// FileError says why a file cannot be read, or read on. Rows before Line have been dealt with.
type FileError struct {
	Line    int // counted as an editor does; 0 for the file as a whole
	Problem string
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return "the file " + e.Problem
	}
	return fmt.Sprintf("line %d %s", e.Line, e.Problem)
}

// Import reads r to its end. The Report counts also when the error is not nil. What is wrong with the file as a whole
// (its header, an unclosed quote) is a *FileError; with a row, a line of the rejects file.
func Import(ctx context.Context, r io.Reader, opts Options, to Recorder) (Report, error) {
	if err := opts.check(to); err != nil {
		return Report{}, err
	}
	counted := &countingReader{}
	rows, header, err := openSource(r, counted)
	if err != nil {
		return Report{}, err
	}
	return importRows(ctx, rows, header, counted, opts, to)
}

// importRows takes rows from wherever they come.
func importRows(ctx context.Context, rows source, header row, counted *countingReader, opts Options, to Recorder) (Report, error) {
	layout, err := layOut(opts, header)
	if err != nil {
		return Report{}, err
	}
	from := openChunks(chunkReader{from: rows, layout: layout, read: counted, skip: opts.Resume.Rows})
	defer from.close()
	run := newRun(opts, to, layout)
	err = run.all(ctx, from)
	return run.report, err
}

func (o *Options) check(to Recorder) error {
	if _, known := kinds[o.Kind]; !known {
		return fmt.Errorf("kind %q is unknown, want one of %v", o.Kind, Kinds())
	}
	if o.Name != "" && !isSourceName(o.Name) {
		return errors.New("name must be 1 to 64 letters, digits, dots, hyphens and underscores")
	}
	if o.BatchSize == 0 {
		o.BatchSize = MaxBatch
	}
	if o.UnderWay == 0 {
		o.UnderWay = 1
	}
	if o.UnderWay < 0 || o.UnderWay > MaxUnderWay {
		return fmt.Errorf("batches under way must be 1 to %d", MaxUnderWay)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.BatchSize < 0 || o.BatchSize > MaxBatch {
		return fmt.Errorf("batch size must be 1 to %d", MaxBatch)
	}
	if to == nil && !o.DryRun {
		return errors.New("a recorder is missing")
	}
	return nil
}

func isSourceName(s string) bool {
	for i := range len(s) {
		b := s[i]
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		if !letter && (b < '0' || b > '9') && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return len(s) <= 64 && digitCount(s) < phoneDigits
}

type countingReader struct {
	in    io.Reader
	bytes int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.bytes += int64(n)
	return n, err
}
