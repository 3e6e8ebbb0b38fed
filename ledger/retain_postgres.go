package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	postgresAged          = "SELECT id, time, verdict FROM decisions WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3"
	postgresDropDecisions = "DELETE FROM decisions WHERE id = ANY($1)"
	postgresMonths        = `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'decisions'::regclass AND c.relname LIKE 'decisions\_20%' ORDER BY c.relname`
	postgresCountMonth = "SELECT count(*) FILTER (WHERE verdict = $1), count(*) FILTER (WHERE verdict <> $1) FROM %s"
	// Whoever waits for the lock keeps all others waiting too, so it waits for a moment only.
	postgresBriefly = "SET LOCAL lock_timeout = '100ms'"
	postgresLasts   = `SELECT t.token, coalesce((SELECT max(position) FROM facts WHERE callee = t.token), 0)
		FROM unnest($1::bytea[]) AS t(token)`
	postgresDispose       = "UPDATE facts SET payload = NULL WHERE position = ANY($1) AND callee = $2 AND payload IS NOT NULL"
	postgresForget        = "DELETE FROM callees WHERE token = ANY($1)"
	postgresCalleesBehind = "SELECT DISTINCT callee FROM facts WHERE callee > $1 ORDER BY callee LIMIT $2"
	postgresNumbered      = "SELECT token FROM callees WHERE token = ANY($1) ORDER BY token"
)

// DisposeDecisions removes decisions that were kept long enough: where it begins whole months by their tables, which costs
// next to nothing, then row by row.
func (p *Postgres) DisposeDecisions(ctx context.Context, d DecisionDisposal) (done DecisionsDisposed, err error) {
	if err := d.check(); err != nil {
		return done, err
	}
	var dropped DecisionsDisposed
	if d.After == [16]byte{} && !d.DryRun {
		if dropped, err = p.dropMonths(ctx, &d); err != nil {
			return done, err
		}
	}
	found, err := collect(ctx, p, func(row pgx.CollectableRow) (decisionAt, error) { return scanAged(row.Scan) },
		postgresAged, d.After[:], firstID(d.before().Add(idSlack)), d.Limit)
	if err != nil {
		return done, err
	}
	done, ids := d.sort(found)
	if !d.DryRun && len(ids) > 0 {
		err = p.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, postgresDropDecisions, ids)
			return err
		})
	}
	done.Allows.join(dropped.Allows)
	done.Others.join(dropped.Others)
	return done, err
}

func (c *DisposedCount) join(other DisposedCount) {
	c.Looked += other.Looked
	c.Gone += other.Gone
}

// dropMonths drops the tables of the months of which every decision goes. One that is in use at this moment stays: its rows
// are removed one by one.
func (p *Postgres) dropMonths(ctx context.Context, d *DecisionDisposal) (done DecisionsDisposed, err error) {
	names, err := collect(ctx, p, pgx.RowTo[string], postgresMonths)
	if err != nil {
		return done, err
	}
	for _, name := range names {
		month, err := time.Parse("decisions_2006_01", name)
		if err != nil || !d.wholly(month) {
			continue
		}
		allows, others, err := p.dropMonth(ctx, name)
		if isLockTimeout(err) {
			continue
		}
		if err != nil {
			return done, err
		}
		done.Allows.join(DisposedCount{Looked: allows, Gone: allows})
		done.Others.join(DisposedCount{Looked: others, Gone: others})
	}
	return done, nil
}

// wholly reports whether everything that was decided in a month goes.
func (d *DecisionDisposal) wholly(month time.Time) bool {
	next := month.AddDate(0, 1, 0)
	if next.Add(idSlack).After(d.whole()) {
		return false
	}
	first, last := [16]byte(firstID(month)), [16]byte(firstID(next))
	for _, id := range d.Keep {
		if !mutantDisposeKept && string(id[:]) >= string(first[:]) && string(id[:]) < string(last[:]) {
			return false
		}
	}
	return true
}

func (p *Postgres) dropMonth(ctx context.Context, name string) (allows, others uint64, err error) {
	table := pgx.Identifier{name}.Sanitize()
	err = p.read(ctx, func(ctx context.Context) error {
		return p.reading.QueryRow(ctx, fmt.Sprintf(postgresCountMonth, table), int32(eligibility.Allow)).Scan(&allows, &others)
	})
	if err != nil {
		return 0, 0, err
	}
	return allows, others, p.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, postgresBriefly); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DROP TABLE "+table)
		return err
	})
}

func isLockTimeout(err error) bool {
	const lockNotAvailable = "55P03"
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == lockNotAvailable
}

// DisposeFacts takes payloads and numbers away, with the head locked, so that no fact comes between looking and destroying.
// The old versions of the rows stay in the server's files as those of an erasure do.
func (p *Postgres) DisposeFacts(ctx context.Context, disposals []FactDisposal) (done []FactsDisposed, err error) {
	if err := checkDisposals(disposals); err != nil {
		return nil, err
	}
	waiters := make([]*waiting, len(disposals))
	for i := range disposals {
		waiters[i] = newWaiting(ctx, []Append{disposals[i].Fact})
	}
	var reached uint64
	err = p.write(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		done, reached, err = p.placeDisposals(ctx, tx, waiters, disposals)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.head.move(reached)
	return done, nil
}

func (p *Postgres) placeDisposals(ctx context.Context, tx pgx.Tx, waiters []*waiting, disposals []FactDisposal) ([]FactsDisposed, uint64, error) {
	committed := p.head.now()
	b, err := lookUp(ctx, tx, waiters)
	if err != nil {
		return nil, 0, err
	}
	start, before := b.next.position, b.next.time
	if start < committed {
		return nil, 0, p.wentBack(committed, start)
	}
	lasts, err := lastsOf(ctx, tx, disposals)
	if err != nil {
		return nil, 0, err
	}
	b.next.time = max(before, p.clock().UnixNano())
	done := make([]FactsDisposed, len(disposals))
	var batch pgx.Batch
	var numbers [][]byte
	for i := range disposals {
		d := &disposals[i]
		if done[i].Moved = d.moved(lasts[d.Fact.Callee]); done[i].Moved {
			continue
		}
		placed, err := b.add(waiters[i])
		if err != nil {
			return nil, 0, err
		}
		done[i].Appended = placed[0]
		positions := make([]int64, len(d.Positions))
		for j, position := range d.Positions {
			positions[j] = stoppedAt(position)
		}
		batch.Queue(postgresDispose, positions, d.Fact.Callee[:])
		if d.Number {
			numbers = append(numbers, d.Fact.Callee[:])
		}
	}
	if b.next.position == start {
		b.next.time = before // the head has the time of the last fact
	}
	batch.Queue(postgresForget, numbers)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, 0, err
	}
	return done, b.next.position, b.write(ctx, tx, start)
}

// lastsOf are the callees' last positions.
func lastsOf(ctx context.Context, tx pgx.Tx, disposals []FactDisposal) (map[eligibility.CalleeToken]uint64, error) {
	tokens := make([][]byte, len(disposals))
	for i := range disposals {
		tokens[i] = disposals[i].Fact.Callee[:]
	}
	rows, err := tx.Query(ctx, postgresLasts, tokens)
	if err != nil {
		return nil, err
	}
	lasts := make(map[eligibility.CalleeToken]uint64, len(disposals))
	var token []byte
	var last uint64
	_, err = pgx.ForEachRow(rows, []any{&token, &last}, func() error {
		lasts[eligibility.CalleeToken(token)] = last
		return nil
	})
	return lasts, err
}

// Callees are those about whom there are facts.
func (p *Postgres) Callees(ctx context.Context, after eligibility.CalleeToken, limit int) ([]eligibility.CalleeToken, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return collect(ctx, p, tokenOf, postgresCalleesBehind, after[:], limit)
}

// Numbered are those of some callees whose number is known.
func (p *Postgres) Numbered(ctx context.Context, callees []eligibility.CalleeToken) ([]eligibility.CalleeToken, error) {
	if err := checkCallees(callees); err != nil {
		return nil, err
	}
	tokens := make([][]byte, len(callees))
	for i := range callees {
		tokens[i] = callees[i][:]
	}
	return collect(ctx, p, tokenOf, postgresNumbered, tokens)
}

func tokenOf(row pgx.CollectableRow) (token eligibility.CalleeToken, err error) {
	var b []byte
	err = row.Scan(&b)
	copy(token[:], b)
	return token, err
}
