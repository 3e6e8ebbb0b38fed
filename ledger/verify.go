package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
)

// verifyStep is how many facts one reading of Verify takes, so that it never holds a reading open for long: the
// write-ahead log cannot be folded back under an open one.
const verifyStep = 500

// Verify walks the chain, then checks the file's structure and indexes.
func (s *SQLite) Verify(ctx context.Context) (VerifyReport, error) {
	index, err := s.newIndexCheck(ctx)
	if err != nil {
		return VerifyReport{}, err
	}
	report := VerifyReport{Head: s.head.now()}
	prev := tip{time: -1 << 63}
	for report.OK() && prev.position < report.Head {
		err := s.read(ctx, func(r reader) error { return r.walk(ctx, &prev, &report, index) })
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return VerifyReport{}, err
		}
		if err != nil {
			report.fail(prev.position+1, err.Error())
		}
	}
	report.Sound, report.Hash = prev.position, prev.hash
	if !report.OK() {
		return report, nil
	}
	return s.verifyRest(ctx, report, index)
}

func (v *VerifyReport) fail(position uint64, problem string) {
	v.Wrong, v.Problem = position, problem
}

// walk takes one step along the chain.
func (r reader) walk(ctx context.Context, prev *tip, report *VerifyReport, index *indexCheck) error {
	start := prev.position
	err := r.rows(ctx, tailQuery, func(f *row) (bool, error) {
		if problem := f.follow(prev); problem != "" {
			report.fail(prev.position+1, problem)
			return false, nil
		}
		if f.Erased {
			report.Erased++
		}
		index.add(&f.Entry)
		return true, nil
	}, int64(start), int64(report.Head), verifyStep)
	if err == nil && report.OK() && prev.position < min(start+verifyStep, report.Head) {
		report.fail(prev.position+1, "the fact is missing")
	}
	return err
}

// follow checks that a fact is what comes after prev, and makes it the new prev.
func (f *row) follow(prev *tip) (problem string) {
	switch {
	case f.Position != prev.position+1:
		return fmt.Sprintf("the fact is missing; the next one is at position %d", f.Position)
	case f.RecordTime.UnixNano() < prev.time:
		return "the record time is before that of the fact before"
	case mutantTrustHashes:
	case !f.Erased && sha256.Sum256(f.Payload) != f.payloadHash:
		return "the payload does not match its hash"
	case hashEntry(prev.hash, &f.Entry, f.payloadHash) != f.Hash:
		return "the fact does not match its hash"
	}
	*prev = tip{position: f.Position, time: f.RecordTime.UnixNano(), hash: f.Hash}
	return ""
}

// verifyRest checks what the chain does not cover. It may find facts younger than the walk.
func (s *SQLite) verifyRest(ctx context.Context, report VerifyReport, index *indexCheck) (VerifyReport, error) {
	ctx, cancel := s.untilClosing(ctx)
	defer cancel()
	err := s.read(ctx, func(r reader) error {
		if _, err := r.tip(ctx); err != nil {
			return err
		}
		return r.checkFile(ctx, "integrity_check")
	})
	if err == nil {
		err = s.verifyIndex(ctx, index)
	}
	if errors.Is(err, ErrCorrupt) {
		report.fail(0, err.Error())
		return report, nil
	}
	if ended := context.Cause(ctx); err != nil && ended != nil {
		return VerifyReport{}, ended
	}
	return report, err
}

// untilClosing keeps a check that takes long from holding up Close.
func (s *groups) untilClosing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.closing:
			cancel(s.gone())
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// checkFile runs SQLite's own check: quick_check on the file's structure, integrity_check on the indexes too.
func (r reader) checkFile(ctx context.Context, check string) error {
	var first string
	if err := r.conn.QueryRowContext(ctx, "PRAGMA "+check+"(1)").Scan(&first); err != nil {
		return err
	}
	if first != "ok" {
		return fmt.Errorf("%w: %s: %s", ErrCorrupt, r.path, first)
	}
	return nil
}

// tip reads the end of the chain, and fails with ErrCorrupt if it does not fit the last fact.
func (r reader) tip(ctx context.Context) (tip, error) {
	var t tip
	var hash []byte
	var last sql.NullInt64
	if err := r.row(tipQuery, 1, &t.position, &hash, &last); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return tip{}, fmt.Errorf("%w: %s: the head is missing", ErrCorrupt, r.path)
		}
		return tip{}, err
	}
	copy(t.hash[:], hash)
	if uint64(last.Int64) != t.position {
		return tip{}, r.corrupt(max(t.position, uint64(last.Int64)), fmt.Sprintf("the head says %d, the last fact is %d", t.position, last.Int64))
	}
	if t.position == 0 {
		return t, nil
	}
	return r.lastFact(ctx, t)
}

func (r reader) lastFact(ctx context.Context, t tip) (tip, error) {
	end := tip{time: -1 << 63}
	if t.position > 1 {
		end.position = t.position - 1
		before, err := r.entries(ctx, entryQuery, int64(end.position))
		if err != nil {
			return tip{}, err
		}
		if len(before) == 0 {
			return tip{}, r.corrupt(end.position, "the fact is missing")
		}
		end.hash, end.time = before[0].Hash, before[0].RecordTime.UnixNano()
	}
	problem := ""
	err := r.rows(ctx, entryQuery, func(f *row) (bool, error) {
		problem = f.follow(&end)
		return false, nil
	}, int64(t.position))
	if err == nil && problem == "" && end.hash != t.hash {
		problem = "the fact's hash is not the head's"
	}
	if problem != "" {
		return tip{}, r.corrupt(t.position, problem)
	}
	return end, err
}
