package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
	"github.com/belpoort/belpoort/rig"
)

// TestPostgresDiskFull: appends fail and say so, what was acknowledged stays, and all goes on when there is space again:
// by itself where the tables found no room, and after a start where the server's log did, for which the server stops.
func TestPostgresDiskFull(t *testing.T) {
	disk := rig.NewDisk(t, 120<<20)
	s := rig.PostgresOn(t, disk, "min_wal_size=32MB", "max_wal_size=32MB", "shared_buffers=8MB")
	url := s.Database(t)
	l := openPostgres(t, url, ledger.Options{})
	acknowledged := map[string]uint64{}
	appendUntilFull(t, l, 0, 20, acknowledged)

	disk.Fill(t)
	unknown := appendUntilFull(t, l, 1, 2000, acknowledged)
	if len(unknown) == 0 || !s.Alive() {
		t.Fatalf("%d appends fail on a full disk; the server runs: %v", len(unknown), s.Alive())
	}
	disk.Free(t)
	wantAllThere(t, l, acknowledged, unknown)

	disk.Fill(t)
	for range 20 { // each switch needs a new file for the log
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			_, _ = conn.Exec(t.Context(), "SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()")
			_ = conn.Close(t.Context())
		}
	}
	unknown = appendUntilFull(t, l, 2, 2000, acknowledged)
	disk.Free(t)
	t.Logf("with a full log the server runs: %v", s.Alive())
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	wantAllThere(t, l, acknowledged, unknown)
}

// appendUntilFull appends until three appends have failed, whose keys it gives.
func appendUntilFull(t *testing.T, l ledger.Ledger, phase, most int, acknowledged map[string]uint64) (unknown []string) {
	t.Helper()
	for i := 0; i < most && len(unknown) < 3; i++ {
		key := fmt.Sprintf("%d-0-%d", phase, i)
		filler := ledger.Append{RequestKey: "filler " + key, Payload: make([]byte, 60<<10)}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		got, err := l.Append(ctx, []ledger.Append{ledgertest.Fact(0, key), filler})
		cancel()
		switch {
		case err == nil:
			acknowledged[key] = got[0].Position
		case errors.Is(err, ledger.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded):
			unknown = append(unknown, key)
			t.Logf("append %s: %v", key, err)
		default:
			t.Fatalf("append %s: %v", key, err)
		}
	}
	return unknown
}

// wantAllThere repeats what was left unknown, then looks for all that was acknowledged.
func wantAllThere(t *testing.T, l ledger.Ledger, acknowledged map[string]uint64, unknown []string) {
	t.Helper()
	for _, key := range unknown {
		acknowledged[key] = repeatUntilTaken(t, l, key)
	}
	wantStored(t, l, acknowledged)
	if r, err := l.Verify(t.Context()); err != nil || !r.OK() {
		t.Errorf("Verify: %+v, %v", r, err)
	}
}
