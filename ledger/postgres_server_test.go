package ledger_test

import (
	"testing"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/rig"
)

func openPostgres(t testing.TB, url string, opts ledger.Options) *ledger.Postgres {
	t.Helper()
	l, err := ledger.OpenPostgres(t.Context(), url, opts)
	if err != nil {
		t.Fatalf("OpenPostgres: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// newPostgres is an empty ledger on the server that the tests share.
func newPostgres(t testing.TB) *ledger.Postgres {
	t.Helper()
	return openPostgres(t, rig.SharedPostgres(t).Database(t), ledger.Options{})
}
