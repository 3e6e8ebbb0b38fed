package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
	"github.com/belpoort/belpoort/rig"
)

func TestPostgresContract(t *testing.T) {
	s := rig.SharedPostgres(t)
	ledgertest.Contract(t, func(t *testing.T) ledger.Ledger { return openPostgres(t, s.Database(t), ledger.Options{}) })
}

// TestTwoPostgresLedgersAppendAtOnce: positions have no gap, record times never go back although the clocks differ, both
// ledgers show the same tail, and a key that both send stands for one fact.
func TestTwoPostgresLedgersAppendAtOnce(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	slow := func() time.Time { return time.Now().Add(-time.Hour) }
	ledgers := []*ledger.Postgres{openPostgres(t, url, ledger.Options{}), openPostgres(t, url, ledger.Options{Clock: slow})}
	const each = 150
	var appenders sync.WaitGroup
	for n, l := range ledgers {
		for a := range 4 {
			appenders.Go(func() {
				for i := range each {
					own := ledgertest.Fact(n, fmt.Sprintf("%d %d %d", n, a, i))
					both := ledgertest.Fact(7, fmt.Sprintf("both %d %d", a, i))
					if _, err := l.Append(t.Context(), []ledger.Append{own, both}); err != nil {
						t.Errorf("appending: %v", err)
					}
				}
			})
		}
	}
	appenders.Wait()
	const total = (2 + 1) * 4 * each
	first, second := wholeTail(t, ledgers[0]), wholeTail(t, ledgers[1])
	if len(first) != total || len(second) != total {
		t.Fatalf("tails of %d and %d facts, want %d", len(first), len(second), total)
	}
	for i := range first {
		if first[i].Position != uint64(i+1) || first[i].Hash != second[i].Hash {
			t.Fatalf("entry %d: positions %d and %d", i+1, first[i].Position, second[i].Position)
		}
		if i > 0 && first[i].RecordTime.Before(first[i-1].RecordTime) {
			t.Fatalf("record time goes back at position %d", i+1)
		}
	}
	if r, err := ledgers[1].Verify(t.Context()); err != nil || !r.OK() || r.Sound != total {
		t.Errorf("Verify: %+v, %v", r, err)
	}
}

func wholeTail(t *testing.T, l ledger.Ledger) (all []ledger.Entry) {
	t.Helper()
	for {
		next, err := l.Tail(t.Context(), uint64(len(all)), 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(next) == 0 {
			return all
		}
		all = append(all, next...)
	}
}

// TestWaitHearsOtherNodes: also after the connection that listens was cut.
func TestWaitHearsOtherNodes(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	here, there := openPostgres(t, url, ledger.Options{}), openPostgres(t, url, ledger.Options{})
	mustAppend(t, there, ledgertest.Fact(1, "a"))
	if err := here.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	rig.Query(t, url, func(conn *pgx.Conn) error {
		cut, err := conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query LIKE 'SELECT position FROM head%')")
		if err == nil && cut.RowsAffected() == 0 {
			t.Error("no connection listened")
		}
		return err
	})
	mustAppend(t, there, ledgertest.Fact(1, "b"))
	if err := here.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
}

func TestPostgresKeepsItsIdentityAndTimeOverReopening(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	opts := ledger.Options{Clock: func() time.Time { return now }, FullCheck: true}
	l := openPostgres(t, url, opts)
	id, err := l.DeploymentID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := mustAppend(t, l, ledgertest.Fact(1, "a"))[0]
	if !first.RecordTime.Equal(now) {
		t.Errorf("record time %v, the clock said %v", first.RecordTime, now)
	}
	l.Close()
	now = now.Add(-time.Hour)
	l = openPostgres(t, url, opts)
	if again, err := l.DeploymentID(t.Context()); err != nil || again != id {
		t.Errorf("deployment id %x, was %x, %v", again, id, err)
	}
	if next := mustAppend(t, l, ledgertest.Fact(1, "b"))[0]; next.Position != 2 || !next.RecordTime.Equal(first.RecordTime) {
		t.Errorf("after reopening with the clock an hour back: %+v", next)
	}
	if again := mustAppend(t, l, ledgertest.Fact(1, "a"))[0]; !again.Repeated || again.Position != 1 {
		t.Errorf("repeat after reopening: %+v", again)
	}
}

func TestNodesThatStartAtOnceMigrateOnce(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	var nodes sync.WaitGroup
	ids := make([][16]byte, 4)
	for i := range ids {
		nodes.Go(func() {
			l, err := ledger.OpenPostgres(t.Context(), url, ledger.Options{})
			if err != nil {
				t.Errorf("node %d: %v", i, err)
				return
			}
			defer l.Close()
			ids[i], _ = l.DeploymentID(t.Context())
		})
	}
	nodes.Wait()
	for i := range ids {
		if ids[i] != ids[0] || ids[i] == [16]byte{} {
			t.Errorf("node %d has deployment id %x, node 0 %x", i, ids[i], ids[0])
		}
	}
}

// TestPostgresRot changes what is stored behind the ledger's back.
func TestPostgresRot(t *testing.T) {
	s := rig.SharedPostgres(t)
	for change, at := range map[string]uint64{
		"UPDATE facts SET payload = 'x' WHERE position = 3":                             3,
		"UPDATE facts SET kind = 8 WHERE position = 4":                                  4,
		"UPDATE facts SET record_time = record_time - 1000000000000 WHERE position = 2": 2,
		"DELETE FROM facts WHERE position = 3":                                          3,
		"DELETE FROM facts WHERE position = 5":                                          5,
		"UPDATE head SET record_time = record_time + 1":                                 0,
		"UPDATE facts SET payload = NULL WHERE position = 3; UPDATE facts SET callee = decode(repeat('ab', 16), 'hex') WHERE position = 3": 3,
	} {
		url := s.Database(t)
		l := openPostgres(t, url, ledger.Options{})
		for i := range 5 {
			mustAppend(t, l, ledgertest.Fact(1, fmt.Sprint(i)))
		}
		rig.Run(t, url, strings.Split(change, "; ")...)
		if r, err := l.Verify(t.Context()); err != nil || r.OK() || r.Wrong != at {
			t.Errorf("%s: Verify reports %+v, %v", change, r, err)
		}
		l.Close()
		if l, err := ledger.OpenPostgres(t.Context(), url, ledger.Options{FullCheck: true}); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("%s: opening with a full check gives %v", change, err)
			if err == nil {
				l.Close()
			}
		}
	}
}

// TestPostgresPutBackIsNoticed: a server restored to an older state, under a node that has seen the newer one.
func TestPostgresPutBackIsNoticed(t *testing.T) {
	s := rig.SharedPostgres(t)
	url := s.Database(t)
	l := openPostgres(t, url, ledger.Options{})
	mustAppend(t, l, ledgertest.Fact(1, "a"))
	mustAppend(t, l, ledgertest.Fact(1, "b"))
	rig.Run(t, url, "DELETE FROM facts WHERE position = 2",
		"UPDATE head SET position = 1, record_time = f.record_time, hash = f.hash FROM facts f WHERE f.position = 1")
	if _, err := l.Append(t.Context(), []ledger.Append{ledgertest.Fact(1, "c")}); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("Append: %v", err)
	}
	if _, err := l.Facts(t.Context(), ledgertest.Callee(1), 0); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("Facts: %v", err)
	}
	if _, err := l.Head(t.Context()); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("Head: %v", err)
	}
}

// TestDecisionsLieByMonth: ids as the service makes them, beginning with 48 bits of milliseconds.
func TestDecisionsLieByMonth(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	now := time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC)
	l := openPostgres(t, url, ledger.Options{Clock: func() time.Time { return now }})
	made := func(at time.Time) ledger.Decision {
		d := ledger.Decision{Time: at, Callee: ledgertest.Callee(1), ID: [16]byte{15: 1}}
		for i, ms := 5, at.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
			d.ID[i] = byte(ms)
		}
		return d
	}
	at := []time.Time{now, now.Add(time.Second), now.AddDate(-3, 0, 0)}
	if err := l.ShipDecisions(t.Context(), "j", 0, 1, []ledger.Decision{made(at[0]), made(at[1]), made(at[2])}); err != nil {
		t.Fatal(err)
	}
	now = now.AddDate(0, 5, 0)
	if err := l.ShipDecisions(t.Context(), "j", 1, 2, []ledger.Decision{made(now), made(at[0])}); err != nil {
		t.Fatal(err)
	}
	want := "decisions_2026_11 1, decisions_2026_12 1, decisions_2027_04 1, decisions_other 1"
	rig.Query(t, url, func(conn *pgx.Conn) error {
		rows, err := conn.Query(t.Context(), "SELECT tableoid::regclass || ' ' || count(*) FROM decisions GROUP BY tableoid ORDER BY 1")
		if err != nil {
			return err
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if strings.Join(got, ", ") != want {
			t.Errorf("decisions lie in %q, want %q", got, want)
		}
		return err
	})
}

// TestAllowsBecomeVisibleInOrder: a shipment that began first, but is held up until another one is committed, is not
// passed over by a reader that has gone on.
func TestAllowsBecomeVisibleInOrder(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	l, other := openPostgres(t, url, ledger.Options{}), openPostgres(t, url, ledger.Options{})
	allow := func(n byte) []ledger.Decision {
		return []ledger.Decision{{ID: [16]byte{n}, Time: time.Now(), Verdict: 1}}
	}
	if err := l.ShipDecisions(t.Context(), "held up", 0, 1, nil); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	rig.Query(t, url, func(conn *pgx.Conn) error {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), "SELECT FROM places WHERE source = 'held up' FOR UPDATE"); err != nil {
			return err
		}
		go func() { held <- l.ShipDecisions(context.Background(), "held up", 1, 2, allow(1)) }()
		waitUntilBlocked(t, conn)
		if err := other.ShipDecisions(t.Context(), "quick", 0, 1, allow(2)); err != nil {
			t.Error(err)
		}
		wantAllowed(t, l, 0, 2)
		return tx.Rollback(t.Context())
	})
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	first, _ := l.AllowedAfter(t.Context(), 0, 10)
	for _, s := range first {
		if s.ID[0] == 2 {
			wantAllowed(t, l, s.Number, 1)
		}
	}
}

func wantAllowed(t *testing.T, l ledger.Ledger, after uint64, want byte) {
	t.Helper()
	got, err := l.AllowedAfter(t.Context(), after, 10)
	if err != nil || len(got) != 1 || got[0].ID[0] != want {
		t.Errorf("after %d: %+v, %v; want decision %d", after, got, err, want)
	}
}

func waitUntilBlocked(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for range 1000 {
		var blocked bool
		if err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid IS NOT NULL)").Scan(&blocked); err != nil {
			t.Fatal(err)
		}
		if blocked {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("nobody waits for the lock")
}
