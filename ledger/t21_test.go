package ledger_test

import (
	"testing"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
)

// sized is the number of keys: the short form, a fiftieth of it, but at least 300, under the race detector, or the long form for SOAK.
func sized(t *testing.T, short, long int) int {
	switch {
	case soaking(t) > 0:
		return long
	case underRace:
		return max(short/50, 300)
	}
	return short
}

// TestT21ExactlyOnce. Mutant: mutant_position_at_begin.
func TestT21ExactlyOnce(t *testing.T) {
	chance := seeded(t)
	ledgertest.ExactlyOnce(t, open(t, t.TempDir(), ledger.Options{}), sized(t, 100_000, 1_000_000), chance)
}

// TestT21ExactlyOncePostgres is the same on PostgreSQL, which answers each transaction over a connection.
func TestT21ExactlyOncePostgres(t *testing.T) {
	chance := seeded(t)
	ledgertest.ExactlyOnce(t, newPostgres(t), sized(t, 3_000, 200_000), chance)
}
