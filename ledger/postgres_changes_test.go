package ledger_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
	"github.com/belpoort/belpoort/rig"
)

func TestChangesAreTheTailWithoutPayloads(t *testing.T) {
	l := newPostgres(t)
	if changes, head, err := l.Changes(t.Context(), 0, 1); len(changes) != 0 || head != 0 || err != nil {
		t.Errorf("changes of an empty ledger: %v, %d, %v", changes, head, err)
	}
	for i := range 7 {
		f := ledgertest.Fact(i%3, fmt.Sprint(i))
		f.Kind = -int32(i)
		if i == 5 { // the catalogue
			f = ledger.Append{RequestKey: "catalogue", Kind: math.MinInt32}
		}
		mustAppend(t, l, f)
	}
	tail := wholeTail(t, l)
	for _, c := range []struct {
		after uint64
		limit int
		want  int
	}{{0, 7, 7}, {0, ledger.MaxChanges, 7}, {0, 3, 3}, {5, 9, 2}, {6, 1, 1}, {7, 1, 0}} {
		changes, head, err := l.Changes(t.Context(), c.after, c.limit)
		if err != nil || head != 7 || len(changes) != c.want {
			t.Fatalf("%d changes after %d, head %d, %v, want %d", len(changes), c.after, head, err, c.want)
		}
		for i, got := range changes {
			e := tail[int(c.after)+i]
			if want := (ledger.Change{Position: e.Position, Callee: e.Callee, Kind: e.Kind}); got != want {
				t.Errorf("change %+v, want %+v", got, want)
			}
		}
	}
	for _, limit := range []int{-1, 0, ledger.MaxChanges + 1} {
		if _, _, err := l.Changes(t.Context(), 0, limit); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	for _, after := range []uint64{8, math.MaxUint64} {
		if _, _, err := l.Changes(t.Context(), after, 1); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("changes after %d, which is beyond the head: %v", after, err)
		}
	}
}

// TestMissingChangesAreNoticed deletes facts at the beginning, in the middle and at the end of what is asked for.
func TestMissingChangesAreNoticed(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	l := openPostgres(t, url, ledger.Options{})
	for i := range 9 {
		mustAppend(t, l, ledgertest.Fact(1, fmt.Sprint(i)))
	}
	rig.Run(t, url, "DELETE FROM facts WHERE position IN (2, 5, 9)")
	for after, sound := range map[uint64]bool{0: false, 1: false, 2: true, 3: false, 4: false, 5: true, 8: false} {
		if _, _, err := l.Changes(t.Context(), after, 2); errors.Is(err, ledger.ErrCorrupt) == sound || sound && err != nil {
			t.Errorf("two changes after %d: %v", after, err)
		}
	}
	if _, err := l.PositionAt(t.Context(), time.Now()); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("a search that meets a missing fact: %v", err)
	}
}

// TestPositionAt compares the search with a walk, where instants repeat.
func TestPositionAt(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	l := openPostgres(t, rig.SharedPostgres(t).Database(t), ledger.Options{Clock: func() time.Time { return now }})
	start := now
	wantPositionAt(t, l, now, 0)
	for i := range 23 {
		mustAppend(t, l, ledgertest.Fact(1, fmt.Sprint(i)))
		if i%3 != 0 {
			now = now.Add(time.Duration(i) * time.Second)
		}
		if i != 0 && i != 6 && i != 22 {
			continue
		}
		tail := wholeTail(t, l)
		for at := start.Add(-time.Second); at.Before(now.Add(2 * time.Second)); at = at.Add(time.Second / 2) {
			want := uint64(0)
			for _, e := range tail {
				if !e.RecordTime.After(at) {
					want = e.Position
				}
			}
			wantPositionAt(t, l, at, want)
		}
	}
	wantPositionAt(t, l, time.Time{}, 0)
	wantPositionAt(t, l, start.AddDate(5000, 0, 0), 23)
}

func wantPositionAt(t *testing.T, l *ledger.Postgres, at time.Time, want uint64) {
	t.Helper()
	if got, err := l.PositionAt(t.Context(), at); err != nil || got != want {
		t.Errorf("position at %v: %d, %v, want %d", at, got, err, want)
	}
}

// TestHotReadsUseAnIndex: a scan of the facts would be a matter of seconds. The plan is the one for any arguments, which a
// connection keeps after a few executions.
func TestHotReadsUseAnIndex(t *testing.T) {
	url, _ := stockedPostgres(t, 20_000)
	rig.Run(t, url, "UPDATE facts SET kind = 9 WHERE position = 1", "ANALYZE facts") // as the catalogue: rare, and long ago
	for _, c := range []struct{ query, arguments, index string }{
		{ledger.PostgresLatest, "9, 9223372036854775807", "facts_kind"},
		{ledger.PostgresFacts, "decode(md5('1'), 'hex'), 100", "facts_callee"},
		{ledger.PostgresChanges, "100, 100", "facts_pkey"},
		{ledger.PostgresPositionAt, "5000", "facts_pkey"},
	} {
		rig.Query(t, url, func(conn *pgx.Conn) error {
			for _, statement := range []string{"SET plan_cache_mode = force_generic_plan", "PREPARE hot AS " + c.query} {
				if _, err := conn.Exec(t.Context(), statement); err != nil {
					return err
				}
			}
			rows, err := conn.Query(t.Context(), "EXPLAIN EXECUTE hot("+c.arguments+")", pgx.QueryExecModeSimpleProtocol)
			if err != nil {
				return err
			}
			plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
			text := strings.Join(plan, "\n")
			if !strings.Contains(text, "using "+c.index) && !strings.Contains(text, "on "+c.index) || strings.Contains(text, "Seq Scan on facts") {
				t.Errorf("%s\n%s", c.query, text)
			}
			return err
		})
	}
}

// stockedPostgres is a ledger with so many facts, of which only what Changes reads is as a ledger writes it.
func stockedPostgres(t testing.TB, facts int) (url string, l *ledger.Postgres) {
	t.Helper()
	url = rig.SharedPostgres(t).Database(t)
	l = openPostgres(t, url, ledger.Options{})
	rig.Run(t, url, fmt.Sprintf(`INSERT INTO facts SELECT n, decode(md5((n %% 900000)::text), 'hex'), n %% 8, n, 'request ' || md5(n::text), NULL,
		decode(repeat('ab', 32), 'hex'), decode(repeat('cd', 32), 'hex'), decode(repeat('ef', 120), 'hex') FROM generate_series(1, %d) n`, facts),
		fmt.Sprintf("UPDATE head SET position = %d", facts), "ANALYZE facts")
	return url, l
}

// BenchmarkChanges follows a million changes (BELPOORT_CHANGES says how many) in answers of the greatest size.
func BenchmarkChanges(b *testing.B) {
	b.ReportAllocs()
	facts := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("BELPOORT_CHANGES")); err == nil {
		facts = n
	}
	_, l := stockedPostgres(b, facts)
	for b.Loop() {
		for after := uint64(0); after < uint64(facts); {
			changes, _, err := l.Changes(b.Context(), after, ledger.MaxChanges)
			if err != nil {
				b.Fatal(err)
			}
			after = changes[len(changes)-1].Position
		}
	}
	b.ReportMetric(float64(facts)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
