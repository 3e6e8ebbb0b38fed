//go:build !race

package main

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/rig"
)

// T13: a node that was killed under load is ready only when the floors of all facts of the last day are in, allows nothing
// before, and is soon there. The mutant mutant_ready_before_snapshot must fail here.
func TestT13ColdStart(t *testing.T) {
	const callees = 200
	facts := 1_000_000 // which take longer to put in the ledger than to load
	if os.Getenv("SOAK") != "" && soak(t) >= 5*time.Minute {
		facts = 10_000_000
	}
	c := startCluster(t, 2)
	c.nodes[0].consents(0, callees)
	n := c.nodes[1]
	bare := restartedIn(n)
	stock(t, c.database, facts)
	c.nodes[0].consents(callees, callees+1) // the chain's end is whole again
	reading := readAll(t, c.database)
	l := c.startLoad(t, 100, 0, callees)
	l.object(0)
	time.Sleep(500 * time.Millisecond)
	n.kill()
	began := time.Now()
	n.begin()
	allowed := make(chan float64, 1)
	go func() { allowed <- floorsWhenAllowed(n) }()
	n.awaitReady()
	ready, floors := time.Since(began), n.metric("belpoort_floors")
	atFirst := <-allowed
	t.Logf("%d facts: ready after %v with %.0f floors, %.0f MB (with an empty ledger %v; reading all changes alone takes %v)", facts,
		ready.Round(time.Millisecond), floors, n.metric("belpoort_floor_bytes")/1e6, bare.Round(time.Millisecond), reading.Round(time.Millisecond))
	if floors < float64(facts) || atFirst < float64(facts) {
		t.Errorf("ready with %.0f floors, the first call allowed with %.0f", floors, atFirst)
	}
	if limit := max(3*time.Second, 5*(bare+reading)); ready > limit {
		t.Errorf("ready after %v, want at most %v", ready, limit)
	}
	c.wantAllowed(subject(callees-1), soon)
	l.object(1)
	time.Sleep(500 * time.Millisecond)
	l.stop()
	t.Logf("answers: %v", l.answers)
	l.wantNoWrongAllow()
}

func restartedIn(n *clusterNode) time.Duration {
	n.t.Helper()
	began := time.Now()
	n.restart()
	return time.Since(began)
}

// floorsWhenAllowed asks for calls until one is allowed, and tells how many floors are in then. Nobody has objected against
// these calls.
func floorsWhenAllowed(n *clusterNode) float64 {
	for i := 0; ; i++ {
		if answer, _ := n.within(time.Second, subject(100+i%100)); isAllowed(answer) {
			return n.metric("belpoort_floors")
		}
		time.Sleep(time.Millisecond)
	}
}

// stock puts facts about as many callees in the ledger, of now, as fast as it can. They are no part of the hash chain,
// which nobody walks here; the chain's next fact goes on from the last of them. Nobody may write meanwhile.
func stock(t *testing.T, database string, facts int) {
	t.Helper()
	began := time.Now()
	rig.Run(t, database, "SET maintenance_work_mem = '256MB'",
		"DROP INDEX facts_request_key, facts_reference, facts_callee, facts_kind",
		"ALTER TABLE facts DROP CONSTRAINT facts_pkey",
		fmt.Sprintf(`WITH old AS (SELECT position, record_time, hash FROM head WHERE id = 1 FOR UPDATE)
			INSERT INTO facts (position, callee, kind, record_time, request_key, payload_hash, hash)
			SELECT old.position + i, uuid_send(md5(i::text)::uuid), %d, old.record_time, 'stock/' || i, old.hash, old.hash
			FROM old, generate_series(1, %d) i`, record.KindConsent, facts),
		"ALTER TABLE facts ADD PRIMARY KEY (position)",
		"CREATE UNIQUE INDEX facts_request_key ON facts (request_key)",
		"CREATE UNIQUE INDEX facts_reference ON facts (reference) WHERE reference IS NOT NULL",
		"CREATE INDEX facts_callee ON facts (callee, position)",
		"CREATE INDEX facts_kind ON facts (kind, position)",
		"ANALYZE facts",
		"UPDATE head SET position = (SELECT max(position) FROM facts)")
	rig.Query(t, database, func(conn *pgx.Conn) error {
		var count, head int
		err := conn.QueryRow(t.Context(), "SELECT count(*), (SELECT position FROM head) FROM facts").Scan(&count, &head)
		if err == nil && (count != head || count <= facts) {
			err = fmt.Errorf("%d facts, head %d", count, head)
		}
		return err
	})
	t.Logf("stocked in %v", time.Since(began).Round(time.Millisecond))
}

// readAll is how long it takes to read all changes and do nothing with them.
func readAll(t *testing.T, database string) time.Duration {
	t.Helper()
	l, err := ledger.OpenPostgres(t.Context(), database, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := time.Now()
	for after, head := uint64(0), uint64(1); after < head; {
		var changes []ledger.Change
		if changes, head, err = l.Changes(context.Background(), after, 8192); err != nil {
			t.Fatal(err)
		}
		after += uint64(len(changes))
	}
	return time.Since(began)
}
