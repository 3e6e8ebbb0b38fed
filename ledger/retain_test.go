package ledger_test

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
	"github.com/belpoort/belpoort/rig"
)

// monthly ships n decisions in each month of 2025, as they come, and gives their ids.
func monthly(t *testing.T, l ledger.Ledger, clock *time.Time, n int) (ids [][16]byte) {
	t.Helper()
	for month := range 12 {
		*clock = time.Date(2025, time.January+time.Month(month), 15, 12, 0, 0, 0, time.UTC)
		var all []ledger.Decision
		for i := range n {
			d := ledger.Decision{Time: clock.Add(time.Duration(i) * time.Second), Callee: ledgertest.Callee(i), Campaign: "c", Verdict: int32(eligibility.Allow), Payload: []byte("p")}
			binary.BigEndian.PutUint64(d.ID[:], uint64(d.Time.UnixMilli())<<16)
			all = append(all, d)
			ids = append(ids, d.ID)
		}
		if err := l.ShipDecisions(t.Context(), fmt.Sprint("month ", month), 0, uint64(n), all); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// TestOldMonthsAreDroppedWhole: months that go as a whole go by their tables; one with a decision to be kept, and one that
// somebody reads at the moment, are emptied row by row. The mutant mutant_dispose_kept must fail here.
func TestOldMonthsAreDroppedWhole(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	clock := time.Date(2025, 1, 15, 12, 0, 0, 0, time.UTC)
	l := openPostgres(t, url, ledger.Options{Clock: func() time.Time { return clock }})
	const each = 5
	ids := monthly(t, l, &clock, each)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	months := func() (names []string) {
		rows, err := conn.Query(t.Context(), `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			WHERE i.inhparent = 'decisions'::regclass AND c.relname <> 'decisions_other' AND c.relname < 'decisions_2026' ORDER BY 1`)
		if err == nil {
			names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	before := months()
	if len(before) < 12 {
		t.Fatalf("only the months %v", before)
	}
	reading, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reading.Exec(t.Context(), "SELECT count(*) FROM decisions_2025_03"); err != nil {
		t.Fatal(err)
	}
	kept := ids[1*each+2]
	gone := uint64(0)
	for d := (ledger.DecisionDisposal{Allows: time.Date(2025, 7, 1, 12, 0, 0, 0, time.UTC), Others: clock, Keep: [][16]byte{kept}, Limit: 2}); ; {
		done, err := l.DisposeDecisions(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if gone += done.Allows.Gone; done.Done {
			break
		}
		d.After = done.Last
	}
	if err := reading.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gone != 6*each-1 {
		t.Errorf("%d decisions went, want %d", gone, 6*each-1)
	}
	after := months()
	for _, name := range []string{"decisions_2025_02", "decisions_2025_03", "decisions_2025_07"} {
		if !slices.Contains(after, name) {
			t.Errorf("%s was dropped", name)
		}
	}
	for _, name := range []string{"decisions_2025_01", "decisions_2025_04", "decisions_2025_05", "decisions_2025_06"} {
		if slices.Contains(after, name) {
			t.Errorf("%s is still there", name)
		}
	}
	left, err := l.ListDecisions(t.Context(), ledger.DecisionFilter{}, 1000)
	if err != nil || len(left) != 6*each+1 || left[len(left)-1].ID != kept {
		t.Errorf("%d decisions are left, %v", len(left), err)
	}
}

// TestDisposedBytesAreNotInTheFiles searches the ledger's files, while it is open and others read it, for what was disposed
// of; a reading that goes on for long holds nobody up, and what it needed goes afterwards.
func TestDisposedBytesAreNotInTheFiles(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, ledger.Options{})
	const callees = 300
	for n := range callees {
		mustAppend(t, l, marked(n))
	}
	disposeMarked := func(n int) {
		t.Helper()
		known, err := l.Facts(t.Context(), ledgertest.Callee(n), 0)
		if err != nil {
			t.Fatal(err)
		}
		through := known.Entries[len(known.Entries)-1].Position
		done, err := l.DisposeFacts(t.Context(), []ledger.FactDisposal{{
			Fact:      ledger.Append{RequestKey: fmt.Sprint("dispose ", n), Callee: ledgertest.Callee(n), Kind: 30, Payload: []byte("d")},
			Positions: []uint64{known.Entries[0].Position}, Number: true, Through: through,
		}})
		if err != nil || done[0].Moved {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	if len(left(t, dir, 7)) == 0 {
		t.Fatal("no file holds the mark before, so the test shows nothing")
	}
	for n := 7; n < callees; n += 31 {
		disposeMarked(n)
		if where := left(t, dir, n); len(where) > 0 {
			t.Errorf("%d: %v", n, where)
		}
	}
	reader, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "ledger.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	tx, err := reader.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var facts int
	if err := tx.QueryRow("SELECT count(*) FROM facts").Scan(&facts); err != nil {
		t.Fatal(err)
	}
	disposeMarked(100)
	mustAppend(t, l, ledgertest.Fact(5000, "nobody waits"))
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	disposeMarked(101)
	for _, n := range []int{100, 101} {
		if where := left(t, dir, n); len(where) > 0 {
			t.Errorf("%d, once nobody reads the old pages: %v", n, where)
		}
	}
	if len(left(t, dir, 8)) == 0 {
		t.Error("another callee's bytes went")
	}
	if r, err := l.Verify(t.Context()); err != nil || !r.OK() {
		t.Errorf("Verify: %+v, %v", r, err)
	}
}
