package ledger

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// nodeTimeout bounds a call about nodes, and Changes but for its rows. A node that is answered later has lost its
	// lease anyway.
	nodeTimeout = time.Second
	// renewers serve Announce and Changes, settlers the calls that there may be many of at once: these must not keep
	// a node from renewing its lease.
	renewers = 3
	settlers = 2

	postgresAnnounce = `INSERT INTO nodes AS n (id, name, applied, announced) VALUES ($1, $2, $3, nextval('announcements'))
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, applied = greatest(n.applied, excluded.applied), announced = excluded.announced
		RETURNING clock_timestamp()`
	postgresFirstFromOne = `INSERT INTO nodes AS n (id, name, applied, announced) VALUES ($1, $2, $3, 1)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, applied = greatest(n.applied, excluded.applied), announced = n.announced + 1
		RETURNING clock_timestamp()`
	postgresNoWait      = "SELECT set_config('synchronous_commit', 'off', true)" // until the transaction ends
	postgresAcknowledge = "UPDATE nodes SET applied = greatest(applied, $2) WHERE id = $1"
	postgresNodes       = "SELECT id, name, applied, announced FROM nodes ORDER BY id"
	postgresLapse       = "DELETE FROM nodes WHERE id = $1 AND announced = $2"
	postgresLeave       = "DELETE FROM nodes WHERE id = $1"
)

// NodeID names one run of one process: 16 random bytes drawn when it starts, never zero.
type NodeID [16]byte

// Node is a process that may answer from what it holds in memory.
type Node struct {
	ID   NodeID
	Name string
	// Applied is the last position that the node is known to heed in every answer.
	Applied uint64
	// Announced changes with every Announce, to a number that no node was given before.
	Announced uint64
}

// Announce says that a node is there and heeds everything up to applied, and gives the ledger's clock. name is 1 to MaxKey
// bytes of UTF-8, for people. When it returns without error, the node's row is on disk and on the standbys that a commit
// waits for, every Nodes that begins later shows it, and every Changes that begins later shows whatever was committed
// before. It takes about a second at most. When it fails, the outcome is unknown.
func (p *Postgres) Announce(ctx context.Context, id NodeID, name string, applied uint64) (ledgerTime time.Time, err error) {
	if err := checkKey("node name", name); err != nil {
		return time.Time{}, err
	}
	if err := checkNode(id, applied); err != nil {
		return time.Time{}, err
	}
	statement := postgresAnnounce
	if mutantAnnouncedFromOne {
		statement = postgresFirstFromOne
	}
	err = p.brief(ctx, p.renewing, nodeTimeout, func(ctx context.Context, conn *pgx.Conn) error {
		if mutantAnnounceWithoutDisk {
			if _, err := conn.Exec(ctx, "SELECT set_config('synchronous_commit', 'off', false)"); err != nil {
				return err
			}
		}
		forgetWarning(conn)
		if err := conn.QueryRow(ctx, statement, id[:], name, int64(applied)).Scan(&ledgerTime); err != nil {
			return err
		}
		return p.warned(conn)
	})
	return ledgerTime, err
}

// Acknowledge says that a node heeds everything up to applied. Nobody waits for the disk: a crash of the server may
// forget it, which makes writers wait longer and nothing worse. It does nothing for a node without a row.
func (p *Postgres) Acknowledge(ctx context.Context, id NodeID, applied uint64) error {
	if err := checkNode(id, applied); err != nil {
		return err
	}
	return p.brief(ctx, p.settling, nodeTimeout, func(ctx context.Context, conn *pgx.Conn) error {
		var batch pgx.Batch // one transaction
		if !mutantAcknowledgeWaits {
			batch.Queue(postgresNoWait)
		}
		batch.Queue(postgresAcknowledge, id[:], int64(applied))
		return conn.SendBatch(ctx, &batch).Close()
	})
}

// Nodes gives all nodes, by id.
func (p *Postgres) Nodes(ctx context.Context) (nodes []Node, err error) {
	err = p.brief(ctx, p.settling, nodeTimeout, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, postgresNodes)
		if err != nil {
			return err
		}
		nodes, err = pgx.CollectRows(rows, scanNode)
		return err
	})
	if err != nil {
		return nil, err
	}
	return nodes, nil
}

func scanNode(found pgx.CollectableRow) (n Node, err error) {
	var id []byte
	err = found.Scan(&id, &n.Name, &n.Applied, &n.Announced)
	copy(n.ID[:], id)
	return n, err
}

// Lapse removes a node that has not announced itself since announced was read.
func (p *Postgres) Lapse(ctx context.Context, id NodeID, announced uint64) error {
	return p.removeNode(ctx, postgresLapse, id[:], stoppedAt(announced))
}

// Leave removes a node. It must have ceased to answer from what it holds.
func (p *Postgres) Leave(ctx context.Context, id NodeID) error {
	return p.removeNode(ctx, postgresLeave, id[:])
}

func (p *Postgres) removeNode(ctx context.Context, statement string, args ...any) error {
	return p.brief(ctx, p.settling, nodeTimeout, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement, args...)
		return err
	})
}

func checkNode(id NodeID, applied uint64) error {
	if id == (NodeID{}) {
		return fmt.Errorf("%w: node id is zero", ErrInvalid)
	}
	if applied > math.MaxInt64 {
		return fmt.Errorf("%w: applied is %d, at most %d", ErrInvalid, applied, uint64(math.MaxInt64))
	}
	return nil
}

// brief lends a connection of a pool to do, for a time that ends soon, and another one if the first turned out to be dead.
func (p *Postgres) brief(ctx context.Context, pool *pgxpool.Pool, most time.Duration, do func(context.Context, *pgx.Conn) error) error {
	if mutantOnePoolForAll {
		pool = p.reading
	}
	return p.during(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		lent := func(conn *pgxpool.Conn) error { return do(ctx, conn.Conn()) }
		err := pool.AcquireFunc(ctx, lent)
		if lostConnection(err) && ctx.Err() == nil {
			pool.Reset()
			err = pool.AcquireFunc(ctx, lent)
		}
		return err
	})
}
