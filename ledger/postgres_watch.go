package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	headChannel = "belpoort_head"
	// pollEvery bounds how late a new head is seen when its notification is lost; also the pause before reconnecting.
	pollEvery    = 500 * time.Millisecond
	watchTimeout = time.Second // of connecting and of one look
)

// watch follows the head on a connection of its own until the ledger is closed.
func (p *Postgres) watch(config *pgx.ConnConfig) {
	defer close(p.watched)
	for p.life.Err() == nil {
		p.listen(config)
		select {
		case <-p.life.Done():
		case <-time.After(pollEvery):
		}
	}
}

// listen looks at the head at each notification, and without one every pollEvery, until its connection fails. It
// listens before it looks, so that nothing falls between.
func (p *Postgres) listen(config *pgx.ConnConfig) {
	ctx, cancel := context.WithTimeout(p.life, watchTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return
	}
	defer closePostgresConn(conn)
	if _, err := conn.Exec(ctx, "LISTEN "+headChannel); err != nil {
		return
	}
	for p.look(conn) == nil && !conn.IsClosed() && p.life.Err() == nil {
		pause, done := context.WithTimeout(p.life, pollEvery)
		_, _ = conn.WaitForNotification(pause)
		done()
	}
}

func (p *Postgres) look(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(p.life, watchTimeout)
	defer cancel()
	var head uint64
	if err := conn.QueryRow(ctx, postgresHead).Scan(&head); err != nil {
		return err
	}
	p.head.move(head)
	return nil
}

// Wait returns when there is something after a position, appended by whichever process.
func (p *Postgres) Wait(ctx context.Context, after uint64) error { return p.wait(ctx, p.head, after) }
