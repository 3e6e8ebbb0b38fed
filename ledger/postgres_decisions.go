package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// An update that changes nothing locks the row and makes the commit wait for disk and standby, so that "already
	// shipped" and "already set" are as durable as the first time.
	postgresLockPlace = "INSERT INTO places AS p (source, place) VALUES ($1, 0) ON CONFLICT (source) DO UPDATE SET place = p.place RETURNING place"
	postgresMovePlace = "UPDATE places SET place = $2 WHERE source = $1"
	postgresSetMeta   = "INSERT INTO meta AS m (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = m.value RETURNING value"

	postgresShipment = "CREATE TEMPORARY TABLE IF NOT EXISTS shipment (LIKE decisions) ON COMMIT DELETE ROWS"
	// The row stays locked until the commit, so that numbers become visible in their order.
	postgresTakeNumbers = "UPDATE allowed SET number = number + $1 WHERE id = 1 RETURNING number"
	// In order of id, so that shipments that overlap do not deadlock.
	postgresUnload = "INSERT INTO decisions SELECT * FROM shipment ORDER BY id ON CONFLICT (id) DO NOTHING"
)

// Place is how far a journal has been shipped.
func (p *Postgres) Place(ctx context.Context, source string) (uint64, error) {
	if err := checkKey("source", source); err != nil {
		return 0, err
	}
	var place uint64
	err := p.value(ctx, &place, postgresPlace, source)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return place, err
}

// ShipDecisions records a journal's decisions and its new place.
func (p *Postgres) ShipDecisions(ctx context.Context, source string, from, through uint64, decisions []Decision) error {
	if err := checkKey("source", source); err != nil {
		return err
	}
	if err := checkDecisions(from, through, decisions); err != nil {
		return err
	}
	if err := p.during(ctx, p.addMonths); err != nil {
		return err
	}
	var numbers []*int64
	if mutantNumberAtBegin {
		numbers, _ = takeNumbers(ctx, p.writing, decisions)
	}
	return p.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var place uint64
		if err := tx.QueryRow(ctx, postgresLockPlace, source).Scan(&place); err != nil || place >= through {
			return err
		}
		if place != from {
			return fmt.Errorf("%w: the place of %s is %d, the decisions start at %d", ErrPlace, source, place, from)
		}
		if !mutantNumberAtBegin {
			var err error
			if numbers, err = takeNumbers(ctx, tx, decisions); err != nil {
				return err
			}
		}
		if err := shipAll(ctx, tx, decisions, numbers); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, postgresMovePlace, source, int64(through))
		return err
	})
}

// one answers a question for one number: a transaction, or a pool.
type one interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// takeNumbers gives each ALLOW its number; the others have none.
func takeNumbers(ctx context.Context, from one, decisions []Decision) ([]*int64, error) {
	numbers := make([]*int64, len(decisions))
	n := countAllows(decisions)
	if n == 0 {
		return numbers, nil
	}
	var last int64
	if err := from.QueryRow(ctx, postgresTakeNumbers, n).Scan(&last); err != nil {
		return nil, err
	}
	next := last - n + 1
	for i := range decisions {
		if decisions[i].allows() {
			number := next
			numbers[i], next = &number, next+1
		}
	}
	return numbers, nil
}

func shipAll(ctx context.Context, tx pgx.Tx, decisions []Decision, numbers []*int64) error {
	if len(decisions) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, postgresShipment); err != nil {
		return err
	}
	columns := []string{"id", "time", "callee", "campaign", "verdict", "reason", "call_id", "number", "payload"}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "shipment"}, columns, pgx.CopyFromSlice(len(decisions), func(i int) ([]any, error) {
		d := &decisions[i]
		return []any{d.ID[:], d.Time.UnixNano(), d.Callee[:], d.Campaign, d.Verdict, d.Reason, d.CallID, numbers[i], stored(d.Payload)}, nil
	}))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, postgresUnload)
	return err
}

// addMonths makes the partitions from last month to two months ahead, once a month.
func (p *Postgres) addMonths(ctx context.Context) error {
	now := p.clock().UTC()
	if now.AddDate(0, 1, 0).Unix() < p.monthsUntil.Load() {
		return nil
	}
	first := time.Date(now.Year(), now.Month()-1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 4 {
		if err := p.addMonth(ctx, first.AddDate(0, i, 0)); err != nil {
			return err
		}
	}
	p.monthsUntil.Store(first.AddDate(0, 4, 0).Unix())
	return nil
}

// addMonth leaves a month alone whose decisions have begun to gather in decisions_other.
func (p *Postgres) addMonth(ctx context.Context, month time.Time) error {
	name := "decisions_" + month.Format("2006_01")
	err := p.transaction(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var there bool
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&there); err != nil || there {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE TABLE %s PARTITION OF decisions FOR VALUES FROM ('\x%x') TO ('\x%x')`,
			name, firstID(month), firstID(month.AddDate(0, 1, 0))))
		return err
	})
	const checkViolation = "23514"
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == checkViolation {
		return nil
	}
	return err
}

// DeploymentID is the name drawn when the ledger was created.
func (p *Postgres) DeploymentID(ctx context.Context) (id [16]byte, err error) {
	value, err := p.Meta(ctx, deploymentKey)
	if err != nil {
		return id, err
	}
	return p.deployment(value)
}

// Meta is the value of a metadata key.
func (p *Postgres) Meta(ctx context.Context, key string) (value []byte, err error) {
	if err := checkKey("metadata key", key); err != nil {
		return nil, err
	}
	err = p.value(ctx, &value, postgresMeta, key)
	return value, err
}

// SetMeta sets a metadata key once.
func (p *Postgres) SetMeta(ctx context.Context, key string, value []byte) (stands []byte, err error) {
	if err := checkKey("metadata key", key); err != nil {
		return nil, err
	}
	if err := checkSize("metadata value", len(value), MaxPayload); err != nil {
		return nil, err
	}
	err = p.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, postgresSetMeta, key, stored(value)).Scan(&stands)
	})
	if err != nil {
		return nil, err
	}
	return stands, nil
}
