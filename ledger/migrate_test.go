package ledger

import (
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

// makeFirstSchema makes a file as the first version made it.
func makeFirstSchema(t *testing.T, path string) error {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	pool, err := openPool(path, writerPragmas(), 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	files, err := migrations(goose.DialectSQLite3)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, pool, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := provider.UpTo(t.Context(), 1); err != nil {
		return err
	}
	_, err = pool.Exec("INSERT INTO decisions VALUES (CAST('decision from v1' AS BLOB), 1, zeroblob(16), 'autumn', 1, 2, CAST('p' AS BLOB))")
	return err
}
