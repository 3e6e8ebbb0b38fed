package ledger

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/belpoort/belpoort/eligibility"
)

// TestFirstSchemaIsBroughtUpToDate: what it held is there, and ALLOWs it held have no number.
func TestFirstSchemaIsBroughtUpToDate(t *testing.T) {
	dir := t.TempDir()
	if err := makeFirstSchema(t, filepath.Join(dir, databaseName)); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSQLite(t.Context(), dir, Options{FullCheck: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	old, err := s.Decision(t.Context(), [16]byte([]byte("decision from v1")))
	if err != nil || old.Campaign != "autumn" || old.CallID != "" || string(old.Payload) != "p" {
		t.Errorf("the old decision: %+v, %v", old, err)
	}
	if err := s.ShipDecisions(t.Context(), "j", 0, 1, []Decision{{ID: old.ID, Time: old.Time, Verdict: 1}, {ID: [16]byte{1}, Time: old.Time, Verdict: int32(eligibility.Allow)}}); err != nil {
		t.Fatal(err)
	}
	if all, err := s.AllowedAfter(t.Context(), 0, 10); err != nil || len(all) != 1 || all[0].ID != [16]byte{1} {
		t.Errorf("numbered: %+v, %v", all, err)
	}
	if r, err := s.Verify(t.Context()); err != nil || !r.OK() {
		t.Errorf("Verify: %+v, %v", r, err)
	}
}

// TestFactsOfTheSchemaBeforeAreKept: a ledger that was written before facts could do without request keys, and when sealed
// numbers stood in a table, opens, verifies, knows its facts as repeats, and gives up its numbers.
func TestFactsOfTheSchemaBeforeAreKept(t *testing.T) {
	dir := t.TempDir()
	facts := []Append{
		{Callee: [16]byte{1}, Kind: 2, Payload: []byte("without a key"), SealedNumber: []byte("sealed 1")},
		{RequestKey: "fact/crm/1", Callee: [16]byte{1}, Kind: 2, Payload: []byte("with one"), SealedNumber: []byte("later")},
		{RequestKey: "catalogue/1", Kind: 100, Payload: []byte("catalogue")},
		{Callee: [16]byte{2}, Kind: 2, Payload: []byte("without a key"), SealedNumber: []byte("sealed 2")},
		{RequestKey: "fact/crm/2", Callee: [16]byte{3}, Kind: 2, Payload: []byte("token only")},
	}
	if err := makeSecondSchema(t, filepath.Join(dir, databaseName), facts); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSQLite(t.Context(), dir, Options{FullCheck: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := s.Verify(t.Context()); err != nil || !r.OK() || r.Sound != 5 {
		t.Errorf("Verify: %+v, %v", r, err)
	}
	again, err := s.Append(t.Context(), append(facts, Append{Callee: [16]byte{2}, Kind: 2, Payload: []byte("new")}))
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range again {
		if a.Position != uint64(i+1) || a.Repeated != (i < 5) {
			t.Errorf("fact %d again: %+v", i+1, a)
		}
	}
	for callee, want := range map[byte]string{1: "sealed 1", 2: "sealed 2"} {
		if number, err := s.SealedNumber(t.Context(), [16]byte{callee}); err != nil || string(number) != want {
			t.Errorf("callee %d: %q, %v", callee, number, err)
		}
	}
	_, err = s.Erase(t.Context(), Erasure{Fact: Append{RequestKey: "gone", Callee: [16]byte{1}, Kind: 22}, Kinds: []int32{2}, Through: 2})
	if err != nil {
		t.Fatal(err)
	}
	if number, err := s.SealedNumber(t.Context(), [16]byte{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("after the erasure: %q, %v", number, err)
	}
	if r, err := s.Verify(t.Context()); err != nil || !r.OK() || r.Sound != 7 || r.Erased != 2 {
		t.Errorf("Verify: %+v, %v", r, err)
	}
}

// makeSecondSchema makes a file as the version before this schema made it, which gave facts without a key one of their content.
func makeSecondSchema(t *testing.T, path string, facts []Append) error {
	t.Helper()
	pool, err := madeUpTo(t, path, 2)
	if err != nil {
		return err
	}
	defer pool.Close()
	var end tip
	for i := range facts {
		f := facts[i]
		if f.RequestKey == "" {
			f.RequestKey = contentKey(&f)
		}
		payload := sha256.Sum256(f.Payload)
		e := end.extend(&f, payload)
		if _, err := pool.Exec("INSERT INTO facts (position, callee, kind, record_time, request_key, payload_hash, hash, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			int64(e.Position), e.Callee[:], e.Kind, e.RecordTime.UnixNano(), e.RequestKey, payload[:], e.Hash[:], e.Payload); err != nil {
			return err
		}
		if f.SealedNumber == nil {
			continue
		}
		if _, err := pool.Exec("INSERT INTO callees VALUES (?, ?) ON CONFLICT DO NOTHING", e.Callee[:], f.SealedNumber); err != nil {
			return err
		}
	}
	_, err = pool.Exec("UPDATE head SET position = ?, hash = ?", int64(end.position), end.hash[:])
	return err
}

// makeFirstSchema makes a file as the first version made it.
func makeFirstSchema(t *testing.T, path string) error {
	t.Helper()
	pool, err := madeUpTo(t, path, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = pool.Exec("INSERT INTO decisions VALUES (CAST('decision from v1' AS BLOB), 1, zeroblob(16), 'autumn', 1, 2, CAST('p' AS BLOB))")
	return err
}

// madeUpTo makes a file whose schema has a version.
func madeUpTo(t *testing.T, path string, version int64) (*sql.DB, error) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	pool, err := openPool(path, writerPragmas(), 1)
	if err != nil {
		return nil, err
	}
	files, err := migrations(goose.DialectSQLite3)
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, pool, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, err
	}
	_, err = provider.UpTo(t.Context(), version)
	return pool, err
}
