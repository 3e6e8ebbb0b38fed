package ledger_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
)

// beside opens the ledger's file behind its back.
func beside(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func alter(t *testing.T, path string, statements ...string) {
	t.Helper()
	db := beside(t, path)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// sample is a folder with an open ledger of n facts, and the file behind its back.
func sample(t *testing.T, n int) (*ledger.SQLite, *sql.DB) {
	t.Helper()
	dir := t.TempDir()
	l := open(t, dir, ledger.Options{})
	facts := make([]ledger.Append, n)
	for i := range facts {
		facts[i] = ledgertest.Fact(i%7, fmt.Sprint("key ", i))
		facts[i].Reference = fmt.Sprint("reference ", i)
		facts[i].Kind = int32(i)
	}
	mustAppend(t, l, facts...)
	return l, beside(t, filepath.Join(dir, "ledger.db"))
}

func verify(t *testing.T, l ledger.Ledger) ledger.VerifyReport {
	t.Helper()
	r, err := l.Verify(t.Context())
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return r
}

func wantWrong(t *testing.T, l ledger.Ledger, position uint64, what string) {
	t.Helper()
	if r := verify(t, l); r.OK() || r.Wrong != position || r.Sound != position-1 {
		t.Fatalf("%s at position %d: Verify reports %+v", what, position, r)
	}
}

func mustExec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// TestT20BitRotIsFoundWithItsPosition is T20 on every chained column: one bit of a random fact, then mended again.
func TestT20BitRotIsFoundWithItsPosition(t *testing.T) {
	const n = 1200 // more than two steps of Verify
	wantRotFound(t, n, rounds(t, 10, 1_000))
	wantRotFound(t, 20, rounds(t, 330, 125_000))
}

// wantRotFound flips eight bits a round in a ledger of n facts.
func wantRotFound(t *testing.T, n uint64, rounds iter.Seq[int]) {
	t.Helper()
	chance := seeded(t)
	l, db := sample(t, int(n))
	mustExec(t, db, "PRAGMA synchronous = OFF")
	for range rounds {
		for _, column := range []string{"payload", "payload_hash", "hash", "callee", "request_key", "reference"} {
			position := 1 + chance.Uint64N(n)
			var sound []byte
			if err := db.QueryRow("SELECT CAST("+column+" AS BLOB) FROM facts WHERE position = ?", position).Scan(&sound); err != nil {
				t.Fatal(err)
			}
			rotten := bytes.Clone(sound)
			at := len(rotten)
			if isText(column) {
				at = 3 // a text that no other fact has
			}
			rotten[chance.IntN(at)] ^= 1 << chance.IntN(7)
			set := "UPDATE facts SET " + column + " = ? WHERE position = ?"
			mustExec(t, db, set, typed(column, rotten), position)
			wantWrong(t, l, position, column)
			mustExec(t, db, set, typed(column, sound), position)
		}
		for _, column := range []string{"kind", "record_time"} {
			position, bit := 1+chance.Uint64N(n), int64(1)<<chance.IntN(31)
			mustExec(t, db, fmt.Sprintf("UPDATE facts SET %[1]s = (%[1]s | ?1) - (%[1]s & ?1) WHERE position = ?2", column), bit, position)
			wantWrong(t, l, position, column)
			mustExec(t, db, fmt.Sprintf("UPDATE facts SET %[1]s = (%[1]s | ?1) - (%[1]s & ?1) WHERE position = ?2", column), bit, position)
		}
	}
	if r := verify(t, l); !r.OK() || r.Sound != n {
		t.Fatalf("mended, Verify reports %+v", r)
	}
}

func isText(column string) bool { return column == "request_key" || column == "reference" }

func typed(column string, b []byte) any {
	if isText(column) {
		return string(b)
	}
	return b
}

func TestVerifyFindsEdits(t *testing.T) {
	for name, c := range map[string]struct {
		edit  string
		wrong uint64
	}{
		"deleted":         {"DELETE FROM facts WHERE position = 5", 5},
		"first deleted":   {"DELETE FROM facts WHERE position = 1", 1},
		"last deleted":    {"DELETE FROM facts WHERE position = 20", 20},
		"tail cut off":    {"DELETE FROM facts WHERE position > 10", 11},
		"all deleted":     {"DELETE FROM facts", 1},
		"moved":           {"UPDATE facts SET position = 99 WHERE position = 7", 7},
		"other payload":   {"UPDATE facts SET payload = x'00', payload_hash = x'" + strings.Repeat("00", 32) + "' WHERE position = 4", 4},
		"contents copied": {"UPDATE facts SET (payload, payload_hash, hash) = (SELECT payload, payload_hash, hash FROM facts WHERE position = 8) WHERE position = 9", 9},
		"one time later":  {"UPDATE facts SET record_time = record_time + 1 WHERE position = 3", 3},
	} {
		t.Run(name, func(t *testing.T) {
			l, db := sample(t, 20)
			mustExec(t, db, c.edit)
			wantWrong(t, l, c.wrong, name)
		})
	}
}

// TestCloseEndsVerify: however long a check takes, closing does not wait for it, and the check does not call it rot.
func TestCloseEndsVerify(t *testing.T) {
	for wait := range 6 {
		l, _ := sample(t, 400)
		verified := make(chan error, 1)
		go func() {
			r, err := l.Verify(context.Background())
			if err == nil && !r.OK() {
				err = fmt.Errorf("reports %+v", r)
			}
			verified <- err
		}()
		time.Sleep(time.Duration(wait) * time.Millisecond)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-verified; err != nil && !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("Verify across Close gives %v", err)
		}
	}
}

func TestVerifyFindsWrongHead(t *testing.T) {
	for _, edit := range []string{"UPDATE head SET position = 19", "UPDATE head SET hash = zeroblob(32)", "DELETE FROM head"} {
		l, db := sample(t, 20)
		mustExec(t, db, edit)
		if r := verify(t, l); r.OK() || r.Sound != 20 {
			t.Errorf("after %s Verify reports %+v", edit, r)
		}
	}
}

// TestCutTailIsRefusedAtOpen: a ledger that lost its last facts must not start as if they had never been.
func TestCutTailIsRefusedAtOpen(t *testing.T) {
	dir := filled(t, 20)
	alter(t, filepath.Join(dir, "ledger.db"), "DELETE FROM facts WHERE position = 20")
	wantRefusal(t, dir, ledger.ErrCorrupt, "ledger.db, position 20")
}

// TestVerifyFindsAFactMissingFromAnIndex: the fact is in the chain, but reading the callee does not find it.
func TestVerifyFindsAFactMissingFromAnIndex(t *testing.T) {
	dir := filled(t, 20)
	alter(t, filepath.Join(dir, "ledger.db"),
		"DROP INDEX facts_kind",
		"CREATE INDEX facts_kind ON facts (kind) WHERE position <> 3",
		"PRAGMA writable_schema = 1",
		"UPDATE sqlite_schema SET sql = 'CREATE INDEX facts_kind ON facts (kind)' WHERE name = 'facts_kind'")
	l := open(t, dir, ledger.Options{})
	if r := verify(t, l); r.OK() || r.Sound != 20 || !strings.Contains(r.Problem, "facts_kind") {
		t.Fatalf("Verify reports %+v", r)
	}
}

func TestRottenPayloadIsNotRead(t *testing.T) {
	l, db := sample(t, 20)
	mustExec(t, db, "UPDATE facts SET payload = x'00' WHERE position = 3")
	_, err := l.Facts(t.Context(), ledgertest.Callee(2), 0)
	_, tail := l.Tail(t.Context(), 0, 10)
	_, entry := l.Entry(t.Context(), 3)
	_, reference := l.ByReference(t.Context(), "reference 2")
	for _, err := range []error{err, tail, entry, reference} {
		if !errors.Is(err, ledger.ErrCorrupt) || !strings.Contains(err.Error(), "position 3") {
			t.Errorf("reading gives %v, want %v with the position", err, ledger.ErrCorrupt)
		}
	}
	if s, err := l.Facts(t.Context(), ledgertest.Callee(3), 0); err != nil || len(s.Entries) != 3 {
		t.Errorf("another callee: %v, %v", s, err)
	}
}

// TestLostFactIsNotPassedOver: a follower that reads around a gap would never learn of the objection in it.
func TestLostFactIsNotPassedOver(t *testing.T) {
	for _, c := range []struct {
		lost         string
		after, first uint64
	}{{"position = 5", 0, 5}, {"position = 5", 4, 5}, {"position = 20", 19, 20}, {"position > 10", 10, 11}} {
		l, db := sample(t, 20)
		mustExec(t, db, "DELETE FROM facts WHERE "+c.lost)
		_, tail := l.Tail(t.Context(), c.after, 20)
		_, entry := l.Entry(t.Context(), c.first)
		for _, err := range []error{tail, entry} {
			if !errors.Is(err, ledger.ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprintf("position %d:", c.first)) {
				t.Errorf("without %s, reading after %d gives %v", c.lost, c.after, err)
			}
		}
	}
}

// TestErasureKeepsTheChain: a payload and a sealed number may go, the chain and the memory of the request stay.
func TestErasureKeepsTheChain(t *testing.T) {
	l, db := sample(t, 20)
	mustExec(t, db, "UPDATE facts SET payload = NULL WHERE position = 3")
	mustExec(t, db, "UPDATE facts SET sealed_number = NULL WHERE callee = ?", callee(2))
	if r := verify(t, l); !r.OK() || r.Erased != 1 || r.Sound != 20 {
		t.Fatalf("Verify reports %+v", r)
	}
	s, err := l.Facts(t.Context(), ledgertest.Callee(2), 0)
	if err != nil || len(s.Entries) != 3 || !s.Entries[0].Erased || s.Entries[0].Payload != nil || s.Entries[1].Erased {
		t.Fatalf("facts after erasure: %+v, %v", s, err)
	}
	f := ledgertest.Fact(2, "key 2")
	f.Kind = 2
	if again := mustAppend(t, l, f)[0]; !again.Repeated || again.Position != 3 {
		t.Fatalf("repeat of an erased fact: %+v", again)
	}
	if _, err := l.SealedNumber(t.Context(), ledgertest.Callee(2)); !errors.Is(err, ledger.ErrNotFound) {
		t.Fatalf("the repeat brought the number back: %v", err)
	}
}

func callee(n int) []byte {
	c := ledgertest.Callee(n)
	return c[:]
}

// TestT20BitRotInTheFile is T20 below SQLite: one bit anywhere in the file is refused at open, reported by Verify, or
// lies where nothing is kept, so that everything reads as before.
func TestT20BitRotInTheFile(t *testing.T) {
	chance := seeded(t)
	dir := filledWith(t, 120, ledger.OfGenerations(5))
	path := filepath.Join(dir, "ledger.db")
	sound := mustRead(t, path)
	whole := open(t, dir, ledger.Options{})
	want := readAll(whole)
	if err := whole.Close(); err != nil {
		t.Fatal(err)
	}
	flips, refused, reported := 0, 0, 0
	for range rounds(t, 500, 100_000) {
		flips++
		rotten := bytes.Clone(sound)
		at, bit := chance.IntN(len(rotten)), byte(1)<<chance.IntN(8)
		rotten[at] ^= bit
		if err := os.WriteFile(path, rotten, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := ledger.OpenSQLite(t.Context(), dir, ledger.Options{Readers: 1})
		if err != nil {
			refused++
			continue
		}
		if r, err := l.Verify(t.Context()); err != nil || !r.OK() {
			reported++
		} else if got := readAll(l); got != want {
			t.Errorf("bit %08b of byte %d went unnoticed and changed\n%s\nto\n%s", bit, at, want, got)
		}
		l.Close()
	}
	t.Logf("%d flips: %d refused at open, %d reported by Verify, %d where nothing is kept", flips, refused, reported, flips-refused-reported)
	if refused+reported == 0 {
		t.Error("no flip was found")
	}
}

// readAll is everything the chain covers in a ledger, as text, by tail and by callee.
func readAll(l ledger.Ledger) string {
	var text strings.Builder
	tail, err := l.Tail(context.Background(), 0, 1000)
	fmt.Fprintf(&text, "%v %v\n", tail, err)
	for c := range 7 {
		s, err := l.Facts(context.Background(), ledgertest.Callee(c), 0)
		fmt.Fprintf(&text, "%v %v\n", s, err)
	}
	return text.String()
}
