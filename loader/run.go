package loader

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// run is one import on its way: the batch that is being filled, and those under way.
type run struct {
	opts   Options
	layout *layout
	report Report
	mark   Mark

	batch  *batch
	window *window
	file   *rejectsFile
}

func newRun(opts Options, to Recorder, layout *layout) *run {
	r := &run{opts: opts, layout: layout, report: opts.Resume.Report, mark: opts.Resume.Mark, batch: &batch{}, window: newWindow(to, opts.UnderWay)}
	r.report.Reasons = map[Reason]uint64{}
	maps.Copy(r.report.Reasons, opts.Resume.Reasons)
	if opts.Rejects != nil && opts.Resume.RejectsBytes > 0 {
		r.file = continuedRejectsFile(opts.Rejects, opts.Resume.RejectsBytes)
	}
	return r
}

// all takes rows to the end. Rows read before an error are still handed over: each of them is whole.
func (r *run) all(ctx context.Context, from chunks) error {
	for {
		c := from.next()
		for i := range c.judged {
			if err := ctx.Err(); err != nil {
				return errors.Join(err, r.giveUp())
			}
			if err := r.take(ctx, &c.judged[i], c.bytes); err != nil {
				return errors.Join(err, r.giveUp())
			}
		}
		r.batch.bytes = c.bytes
		if c.err == nil {
			continue
		}
		err := errors.Join(r.flush(ctx), r.settleAll())
		if c.ended() {
			return err
		}
		return errors.Join(c.err, err)
	}
}

// take adds one row to the batch, and hands the batch over before it grows too large.
func (r *run) take(ctx context.Context, row *judgedRow, bytes int64) error {
	r.report.Rows++
	if row.fault != nil {
		r.batch.rejects = append(r.batch.rejects, reject{line: row.line, fault: *row.fault})
		r.batch.bytes = bytes
		return r.flushIf(ctx, len(r.batch.rejects) >= MaxBatch)
	}
	if err := r.flushIf(ctx, r.batch.size+row.size > MaxBatchSize); err != nil {
		r.report.Unconfirmed++
		return err
	}
	b := r.batch
	b.facts, b.lines, b.size, b.bytes = append(b.facts, row.fact), append(b.lines, row.line), b.size+row.size, bytes
	return r.flushIf(ctx, len(b.facts) >= r.opts.BatchSize)
}

func (r *run) flushIf(ctx context.Context, due bool) error {
	if !due {
		return nil
	}
	return r.flush(ctx)
}

// flush hands the batch over as soon as there is room.
func (r *run) flush(ctx context.Context) error {
	next := r.batch
	for r.window.full(next) {
		if err := r.settle(r.window.oldest(true)); err != nil {
			return err
		}
	}
	r.batch = &batch{}
	if r.opts.DryRun {
		next.result.Recorded = uint64(len(next.facts)) // as far as can be told
		return r.settle(next)
	}
	r.window.hand(ctx, next)
	if r.opts.UnderWay == 1 {
		return r.settleAll()
	}
	for b := r.window.oldest(false); b != nil; b = r.window.oldest(false) {
		if err := r.settle(b); err != nil {
			return err
		}
	}
	return nil
}

// settleAll waits for all that is under way. What was answered counts, also behind a batch that failed.
func (r *run) settleAll() error {
	var failed error
	for b := r.window.oldest(true); b != nil; b = r.window.oldest(true) {
		failed = errors.Join(failed, r.settle(b))
	}
	return failed
}

// settle accounts for a batch that was answered, and writes its rejects in the order of the file.
func (r *run) settle(b *batch) error {
	err := errors.Join(r.account(b), r.writeRejects(b.rejects))
	if r.opts.Progress != nil {
		r.opts.Progress(r.progress(b.bytes))
	}
	return err
}

// progress is a copy: the report goes on.
func (r *run) progress(bytes int64) Progress {
	p := Progress{Bytes: bytes, Checkpoint: Checkpoint{Report: r.report, Mark: r.mark}}
	p.Reasons = maps.Clone(r.report.Reasons)
	p.Rows = p.Recorded + p.Unchanged + p.Rejected + p.Unconfirmed + p.Valid // a row that is still in hand is not dealt with
	if r.file != nil {
		p.RejectsBytes = r.file.written
	}
	return p
}

// giveUp waits for what is under way, and accounts for what will not be handed over.
func (r *run) giveUp() error {
	err := r.settleAll()
	r.report.Unconfirmed += uint64(len(r.batch.facts))
	r.count(r.batch.rejects)
	return errors.Join(err, r.writeRejects(r.batch.rejects))
}

// account counts what became of a batch's rows.
func (r *run) account(b *batch) error {
	if b.err != nil {
		r.report.Unconfirmed += uint64(len(b.facts))
		r.count(b.rejects)
		return fmt.Errorf("recording lines %d to %d: %w", b.lines[0], b.lines[len(b.lines)-1], b.err)
	}
	if r.opts.DryRun {
		r.report.Valid += b.result.Recorded
		r.count(b.rejects)
		return nil
	}
	r.report.Recorded += b.result.Recorded
	r.report.Unchanged += b.result.Unchanged
	if b.result.Mark.Position > r.mark.Position {
		r.mark = b.result.Mark
	}
	for _, rejected := range b.result.Rejected {
		b.rejects = append(b.rejects, reject{line: b.lines[rejected.Index], fault: fault{
			reason: Refused, column: r.layout.columnOf(rejected.Field), problem: maskDigits(rejected.Description, phoneDigits),
		}})
	}
	r.count(b.rejects)
	return nil
}

func (r *run) count(rejects []reject) {
	for i := range rejects {
		r.report.Rejected++
		r.report.Reasons[rejects[i].fault.reason]++
	}
}

func (r *run) writeRejects(rejects []reject) error {
	if len(rejects) == 0 || r.opts.Rejects == nil {
		return nil
	}
	if r.file == nil {
		r.file = newRejectsFile(r.opts.Rejects)
	}
	slices.SortStableFunc(rejects, func(a, b reject) int { return a.line - b.line })
	return r.file.write(rejects)
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
