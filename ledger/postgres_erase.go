package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
)

const (
	postgresLastOf      = "SELECT coalesce(max(position), 0) FROM facts WHERE callee = $1"
	postgresErase       = "UPDATE facts SET payload = NULL WHERE callee = $1 AND kind = ANY($2) AND payload IS NOT NULL"
	postgresEraseNumber = "DELETE FROM callees WHERE token = $1"
)

// Erase takes a number and payloads away. The old versions of the rows stay in the server's files until it vacuums and
// writes over them, and in its write-ahead log, its standbys' and its backups as long as those are kept.
func (p *Postgres) Erase(ctx context.Context, e Erasure) (done Appended, err error) {
	if err := checkErasure(&e); err != nil {
		return Appended{}, err
	}
	w := newWaiting(ctx, []Append{e.Fact})
	var reached uint64
	err = p.write(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		done, reached, err = p.placeErasure(ctx, tx, w, &e)
		return err
	})
	if err != nil {
		return Appended{}, err
	}
	p.head.move(reached)
	return done, nil
}

// placeErasure holds the head's lock, so that no fact of the callee comes between looking and erasing.
func (p *Postgres) placeErasure(ctx context.Context, tx pgx.Tx, w *waiting, e *Erasure) (Appended, uint64, error) {
	committed := p.head.now()
	b, err := lookUp(ctx, tx, []*waiting{w})
	if err != nil {
		return Appended{}, 0, err
	}
	start, last := b.next.position, uint64(0)
	if start < committed {
		return Appended{}, 0, p.wentBack(committed, start)
	}
	before := b.next.time
	b.next.time = max(before, p.clock().UnixNano())
	placed, err := b.add(w)
	if err != nil {
		return Appended{}, 0, err
	}
	if placed[0].Repeated {
		b.next.time = before
		return placed[0], start, b.write(ctx, tx, start)
	}
	if err := tx.QueryRow(ctx, postgresLastOf, e.Fact.Callee[:]).Scan(&last); err != nil {
		return Appended{}, 0, err
	}
	if last != e.Through {
		return Appended{}, 0, moved(last, e.Through)
	}
	return placed[0], b.next.position, b.eraseAndWrite(ctx, tx, start, e)
}

func (b *board) eraseAndWrite(ctx context.Context, tx pgx.Tx, start uint64, e *Erasure) error {
	if !mutantPayloadLeft {
		if _, err := tx.Exec(ctx, postgresErase, e.Fact.Callee[:], e.Kinds); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, postgresEraseNumber, e.Fact.Callee[:]); err != nil {
		return err
	}
	return b.write(ctx, tx, start)
}
