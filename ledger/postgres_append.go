package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	postgresLockHead   = "SELECT position, record_time, hash FROM head WHERE id = 1 FOR UPDATE"
	postgresUnlocked   = "SELECT position, record_time, hash FROM head WHERE id = 1"
	postgresKeys       = "SELECT request_key, position, record_time, callee, kind, payload_hash FROM facts WHERE request_key = ANY($1)"
	postgresReferences = "SELECT reference FROM facts WHERE reference = ANY($1)"
	postgresInsert     = `INSERT INTO facts (position, callee, kind, record_time, request_key, reference, payload_hash, hash, payload)
		SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::bytea[])`
	postgresNumbers  = "INSERT INTO callees (token, sealed_number) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT (token) DO NOTHING"
	postgresMoveHead = "UPDATE head SET position = $1, record_time = $2, hash = $3 WHERE id = 1"
	postgresNotify   = "SELECT pg_notify('" + headChannel + "', '')"

	// appendPatience is how long a group is given although its callers have gone.
	appendPatience = time.Second

	// One INSERT takes no more than this, so that neither side holds a large append several times over.
	insertRows  = 1000
	insertBytes = 8 << 20
)

func (p *Postgres) writeGroup(group []*waiting) {
	var answers []answer
	var reached uint64
	ctx, cancel := whileAwaited(group)
	defer cancel()
	err := p.transaction(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		answers, reached, err = p.placeGroup(ctx, tx, group)
		return err
	})
	if err != nil {
		answers = everyone(len(group), p.failedWrite(err))
	} else {
		p.head.move(reached)
	}
	acknowledge(group, answers)
}

// whileAwaited ends when nobody waits for a group any more, but not at once: a server that is merely slow would never get
// anything done. Without it a group that a hung server has swallowed keeps all later ones waiting.
func whileAwaited(group []*waiting) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	if mutantPatientAppender {
		return ctx, cancel
	}
	slow := time.AfterFunc(appendPatience, func() {
		for _, w := range group {
			select {
			case <-w.ctx.Done():
			case <-ctx.Done():
				return
			}
		}
		cancel()
	})
	return ctx, func() {
		slow.Stop()
		cancel()
	}
}

// failedWrite is fault for the appender, who finishes its group when the ledger is being closed.
func (p *Postgres) failedWrite(err error) error {
	if spoken(err) && !isEnded(err) {
		return err
	}
	return p.inWords(err)
}

// placeGroup decides in memory, with the head locked, what becomes of each append, then writes all at once. One that is
// refused, or whose caller has gone, does not fail its neighbours.
func (p *Postgres) placeGroup(ctx context.Context, tx pgx.Tx, group []*waiting) ([]answer, uint64, error) {
	committed := p.head.now()
	b, err := lookUp(ctx, tx, group)
	if err != nil {
		return nil, 0, err
	}
	start := b.next.position
	if start < committed {
		return nil, 0, p.wentBack(committed, start)
	}
	last := b.next.time
	b.next.time = max(last, p.clock().UnixNano())
	answers := make([]answer, len(group))
	placed := false
	for i, w := range group {
		if answers[i].err = w.ctx.Err(); answers[i].err == nil {
			answers[i].facts, answers[i].err = b.add(w)
			placed = placed || answers[i].err == nil
		}
	}
	if !placed {
		return answers, start, nil
	}
	if b.next.position == start {
		b.next.time = last // the head has the time of the last fact
	}
	return answers, b.next.position, b.write(ctx, tx, start)
}

func (p *Postgres) wentBack(from, to uint64) error {
	return fmt.Errorf("%w: %s: the head went back from %d to %d; facts that were committed are gone", ErrCorrupt, p.path, from, to)
}

// lookUp locks the head and then looks, in one round trip: the later statements see whatever was committed before the
// lock was given.
func lookUp(ctx context.Context, tx pgx.Tx, group []*waiting) (*board, error) {
	var keys, references []string
	for _, w := range group {
		for i := range w.facts {
			keys = append(keys, w.facts[i].RequestKey)
			if r := w.facts[i].Reference; r != "" {
				references = append(references, r)
			}
		}
	}
	lock := postgresLockHead
	if mutantUnlockedHead {
		lock = postgresUnlocked
	}
	b := newBoard(tip{})
	var batch pgx.Batch
	batch.Queue(lock).QueryRow(b.readTip)
	batch.Queue(postgresKeys, keys).Query(b.readKeys)
	if len(references) > 0 {
		batch.Queue(postgresReferences, references).Query(b.readReferences)
	}
	return b, tx.SendBatch(ctx, &batch).Close()
}

func (b *board) readTip(row pgx.Row) error {
	var hash []byte
	err := row.Scan(&b.next.position, &b.next.time, &hash)
	copy(b.next.hash[:], hash)
	return headRow(err)
}

func (b *board) readKeys(rows pgx.Rows) error {
	var key string
	var position uint64
	var nanoseconds int64
	var kind int32
	var callee, hash []byte
	_, err := pgx.ForEachRow(rows, []any{&key, &position, &nanoseconds, &callee, &kind, &hash}, func() error {
		k := recorded{position: position, time: time.Unix(0, nanoseconds).UTC(), kind: kind}
		copy(k.callee[:], callee)
		copy(k.payload[:], hash)
		b.known[key] = k
		return nil
	})
	return err
}

func (b *board) readReferences(rows pgx.Rows) error {
	var reference string
	_, err := pgx.ForEachRow(rows, []any{&reference}, func() error {
		b.taken[reference] = true
		return nil
	})
	return err
}

// write moves the head even where all facts are repeats: the commit then waits for disk and standby, and an earlier
// commit whose waiting was cut short is behind it.
func (b *board) write(ctx context.Context, tx pgx.Tx, start uint64) error {
	var batch pgx.Batch
	for from := 0; from < len(b.entries); {
		through := b.chunk(from)
		b.queueFacts(&batch, from, through)
		from = through
		if from < len(b.entries) {
			if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
				return err
			}
			batch = pgx.Batch{}
		}
	}
	batch.Queue(postgresMoveHead, int64(b.next.position), b.next.time, b.next.hash[:])
	if b.next.position > start {
		batch.Queue(postgresNotify)
	}
	return tx.SendBatch(ctx, &batch).Close()
}

// chunk is where the INSERT ends that begins at from.
func (b *board) chunk(from int) int {
	size, through := 0, from
	for through < len(b.entries) && through-from < insertRows && size < insertBytes {
		size += len(b.entries[through].Payload)
		through++
	}
	return through
}

func (b *board) queueFacts(batch *pgx.Batch, from, through int) {
	n := through - from
	positions, kinds, times := make([]int64, n), make([]int32, n), make([]int64, n)
	keys, references := make([]string, n), make([]*string, n)
	callees, payloadHashes, hashes, payloads := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	var tokens, numbers [][]byte
	for i := range n {
		e := &b.entries[from+i]
		positions[i], kinds[i], times[i], keys[i] = int64(e.Position), e.Kind, e.RecordTime.UnixNano(), e.RequestKey
		if e.Reference != "" {
			references[i] = &e.Reference
		}
		callees[i], payloadHashes[i], hashes[i], payloads[i] = e.Callee[:], b.payloads[from+i][:], e.Hash[:], stored(e.Payload)
		if number := b.numbers[from+i]; len(number) > 0 {
			tokens, numbers = append(tokens, e.Callee[:]), append(numbers, number)
		}
	}
	batch.Queue(postgresInsert, positions, callees, kinds, times, keys, references, payloadHashes, hashes, payloads)
	if len(tokens) > 0 {
		batch.Queue(postgresNumbers, tokens, numbers)
	}
}
