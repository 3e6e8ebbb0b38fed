package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/proto"
)

// run is one import on its way: the rows since the last batch, good ones and bad ones.
type run struct {
	opts   Options
	to     Recorder
	layout *layout
	read   *countingReader
	report Report

	skip    uint64 // rows that an earlier run has dealt with
	facts   []*belpoortv1.RecordFactRequest
	lines   []int // of facts
	size    int   // of facts, in protobuf
	rejects []reject
	file    *rejectsFile
}

func newRun(opts Options, to Recorder, layout *layout, read *countingReader) *run {
	r := &run{opts: opts, to: to, layout: layout, read: read, report: opts.Resume.Report, skip: opts.Resume.Rows}
	r.report.Reasons = map[Reason]uint64{}
	maps.Copy(r.report.Reasons, opts.Resume.Reasons)
	if opts.Rejects != nil && opts.Resume.RejectsBytes > 0 {
		r.file = continuedRejectsFile(opts.Rejects, opts.Resume.RejectsBytes)
	}
	return r
}

// all takes rows to the end. Rows read before an error are still handed over: each of them is whole.
func (r *run) all(ctx context.Context, rows source) error {
	for {
		if err := ctx.Err(); err != nil {
			return errors.Join(err, r.giveUp())
		}
		row, err := rows.next()
		if err == io.EOF {
			return r.flush(ctx)
		}
		if err != nil && row.fault == nil {
			return errors.Join(err, r.flush(ctx))
		}
		if r.skip > 0 && err == nil {
			r.skip--
			r.layout.learn(row)
			continue
		}
		if err := r.take(ctx, row); err != nil {
			return err
		}
		if err != nil {
			return errors.Join(err, r.flush(ctx))
		}
	}
}

// take adds one row to the batch, and hands the batch over before it grows too large.
func (r *run) take(ctx context.Context, row row) error {
	r.report.Rows++
	fact, fault := r.layout.fact(row)
	if fault != nil {
		r.reject(reject{line: row.line, fault: *fault})
		return r.flushIf(ctx, len(r.rejects) >= MaxBatch)
	}
	size := proto.Size(fact) + 8 // its tag and length in the message that holds the batch
	if err := r.flushIf(ctx, r.size+size > MaxBatchSize); err != nil {
		r.report.Unconfirmed++
		return err
	}
	r.facts, r.lines, r.size = append(r.facts, fact), append(r.lines, row.line), r.size+size
	return r.flushIf(ctx, len(r.facts) >= r.opts.BatchSize)
}

func (r *run) flushIf(ctx context.Context, due bool) error {
	if !due {
		return nil
	}
	return r.flush(ctx)
}

// flush hands the batch over and writes its rejects in the order of the file.
func (r *run) flush(ctx context.Context) error {
	err := r.record(ctx)
	err = errors.Join(err, r.writeRejects())
	if r.opts.Progress != nil {
		r.opts.Progress(r.progress())
	}
	return err
}

// progress is a copy: the report goes on.
func (r *run) progress() Progress {
	p := Progress{Bytes: r.read.bytes, Checkpoint: Checkpoint{Report: r.report}}
	p.Reasons = maps.Clone(r.report.Reasons)
	p.Rows = p.Recorded + p.Unchanged + p.Rejected + p.Unconfirmed + p.Valid // a row that is still in hand is not dealt with
	if r.file != nil {
		p.RejectsBytes = r.file.written
	}
	return p
}

// giveUp accounts for what will not be handed over.
func (r *run) giveUp() error {
	r.report.Unconfirmed += uint64(len(r.facts))
	r.clear()
	return r.writeRejects()
}

func (r *run) record(ctx context.Context) error {
	if len(r.facts) == 0 {
		return nil
	}
	defer r.clear()
	if r.opts.DryRun {
		r.report.Valid += uint64(len(r.facts))
		return nil
	}
	result, err := r.to.Record(ctx, r.facts)
	if err == nil {
		err = result.check(len(r.facts))
	}
	if err != nil {
		r.report.Unconfirmed += uint64(len(r.facts))
		return fmt.Errorf("recording lines %d to %d: %w", r.lines[0], r.lines[len(r.lines)-1], err)
	}
	r.report.Recorded += result.Recorded
	r.report.Unchanged += result.Unchanged
	for _, rejected := range result.Rejected {
		r.reject(reject{line: r.lines[rejected.Index], fault: fault{
			reason: Refused, column: r.layout.columnOf(rejected.Field), problem: maskDigits(rejected.Description, phoneDigits),
		}})
	}
	return nil
}

func (r *run) clear() { r.facts, r.lines, r.size = nil, r.lines[:0], 0 }

func (r *run) reject(rejected reject) {
	r.report.Rejected++
	r.report.Reasons[rejected.fault.reason]++
	r.rejects = append(r.rejects, rejected)
}

func (r *run) writeRejects() error {
	defer func() { r.rejects = r.rejects[:0] }()
	if len(r.rejects) == 0 || r.opts.Rejects == nil {
		return nil
	}
	if r.file == nil {
		r.file = newRejectsFile(r.opts.Rejects)
	}
	slices.SortStableFunc(r.rejects, func(a, b reject) int { return a.line - b.line })
	return r.file.write(r.rejects)
}

// check makes sure that every fact of a batch is accounted for, once.
func (r Result) check(facts int) error {
	if r.Recorded+r.Unchanged+uint64(len(r.Rejected)) != uint64(facts) {
		return fmt.Errorf("the answer accounts for %d recorded, %d unchanged and %d rejected of %d facts",
			r.Recorded, r.Unchanged, len(r.Rejected), facts)
	}
	seen := map[int]bool{}
	for _, rejected := range r.Rejected {
		if rejected.Index < 0 || rejected.Index >= facts || seen[rejected.Index] {
			return fmt.Errorf("the answer rejects fact %d of %d, or twice", rejected.Index, facts)
		}
		seen[rejected.Index] = true
	}
	return nil
}
