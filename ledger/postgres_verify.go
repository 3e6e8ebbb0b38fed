package ledger

import (
	"context"
	"errors"
	"fmt"
)

// Verify walks the chain, then compares its end with the head. PostgreSQL's own structure is the business of its
// checksums and of pg_amcheck.
func (p *Postgres) Verify(ctx context.Context) (VerifyReport, error) {
	head, err := p.Head(ctx)
	if err != nil {
		return VerifyReport{}, err
	}
	report := VerifyReport{Head: head}
	prev := tip{time: -1 << 63}
	for report.OK() && prev.position < report.Head {
		err := p.walk(ctx, &prev, &report)
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
	_, err = p.tip(ctx)
	if errors.Is(err, ErrCorrupt) {
		report.fail(0, err.Error())
		err = nil
	}
	return report, err
}

// walk takes one step along the chain.
func (p *Postgres) walk(ctx context.Context, prev *tip, report *VerifyReport) error {
	step := min(verifyStep, report.Head-prev.position)
	rows, _, err := p.rows(ctx, postgresTail, int64(prev.position), int64(step), maxBytes)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		report.fail(prev.position+1, "the fact is missing")
	}
	for i := range rows {
		if problem := rows[i].follow(prev); problem != "" {
			report.fail(prev.position+1, problem)
			return nil
		}
		if rows[i].Erased {
			report.Erased++
		}
	}
	return nil
}

// tip reads the end of the chain, and fails with ErrCorrupt if it does not fit the last fact.
func (p *Postgres) tip(ctx context.Context) (tip, error) {
	var t tip
	var hash []byte
	var last uint64
	err := p.read(ctx, func(ctx context.Context) error {
		return headRow(p.reading.QueryRow(ctx, postgresTip).Scan(&t.position, &t.time, &hash, &last))
	})
	if err != nil {
		return tip{}, err
	}
	copy(t.hash[:], hash)
	if last != t.position {
		return tip{}, p.corrupt(max(t.position, last), fmt.Sprintf("the head says %d, the last fact is %d", t.position, last))
	}
	if t.position == 0 {
		return t, nil
	}
	return t, p.checkLast(ctx, t)
}

// checkLast recomputes the last fact's hash from the one before it.
func (p *Postgres) checkLast(ctx context.Context, t tip) error {
	before := max(t.position, 2) - 2
	rows, _, err := p.rows(ctx, postgresTail, int64(before), int64(t.position-before), maxBytes)
	if err != nil {
		return err
	}
	if uint64(len(rows)) != t.position-before {
		return p.missing(before + 1)
	}
	end := tip{time: -1 << 63}
	if len(rows) == 2 {
		end = tip{position: rows[0].Position, time: rows[0].RecordTime.UnixNano(), hash: rows[0].Hash}
	}
	problem := rows[len(rows)-1].follow(&end)
	if problem == "" && end != t {
		problem = "the fact's time or hash is not the head's"
	}
	if problem != "" {
		return p.corrupt(t.position, problem)
	}
	return nil
}
