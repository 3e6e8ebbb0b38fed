//go:build !race

package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/rig"
)

// T11: a minute without PostgreSQL. After the lease nothing is allowed, known objections go on refusing, new ones wait on
// their nodes' disks, one of which is killed meanwhile; soon after the ledger's return all are in force, none lost, none
// twice. The mutants mutant_lease_unchecked and mutant_pending_forgotten must fail here.
func TestT11LedgerDown(t *testing.T) {
	length := min(time.Minute, soak(t)/2)
	callees := 200 + int(40*(length+10*time.Second)/time.Second)
	c := startCluster(t, 3)
	c.nodes[0].consents(0, callees)
	l := c.startLoad(t, 200, 0, callees)
	l.objectFor(2*time.Second, 50*time.Millisecond)
	c.postgres.Stop()
	down := l.now()
	l.objectFor(length, 25*time.Millisecond)
	killed := l.now()
	c.nodes[2].kill()
	began := time.Now()
	if err := c.postgres.Start(); err != nil {
		t.Fatal(err)
	}
	effective := l.wantInForce(began, 0, 1)
	c.nodes[2].begin()
	c.nodes[2].awaitReady()
	restarted := l.wantInForce(time.Now(), 2)
	c.wantAllowed(subject(callees-1), soon)
	l.stop()
	away := l.answers.asked(down, killed)
	late := away.asked(down+leaseTerm, killed)
	refusing := late.that(func(a *answered) bool { return a.verdict == belpoortv1.Verdict_VERDICT_DENY })
	t.Logf("without PostgreSQL: %v", away)
	t.Logf("after the lease: %v; refused: %v", late, refusing)
	t.Logf("%d objections waited; all in force %v after the return, those of the killed node %v after it was ready", len(l.pending),
		effective.Round(time.Millisecond), restarted.Round(time.Millisecond))
	if late.allowed() > 0 || len(refusing) == 0 || len(l.pending) < 20 {
		t.Errorf("after the lease %d allowed, %d refused; %d objections waited", late.allowed(), len(refusing), len(l.pending))
	}
	if effective > 10*time.Second {
		t.Error("objections that waited were not soon in force")
	}
	l.wantNoWrongAllow()
	l.wantEachOnce(c.database)
}

// wantInForce waits until all objections that these nodes keep are in force, and gives how long after a moment that was.
func (l *load) wantInForce(since time.Time, nodes ...int) (took time.Duration) {
	l.t.Helper()
	var callees []int
	for callee, kept := range l.pending {
		if slices.Contains(nodes, kept.node) {
			callees = append(callees, callee)
			comesTrue(l.t, soon, "an objection that waited is in force", func() bool {
				state, _ := l.nodes[kept.node].state(kept.receipt)
				return state == belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE
			})
		}
	}
	took = time.Since(since)
	for _, callee := range callees {
		for _, n := range l.nodes[:2] {
			if answer, err := n.within(time.Second, subject(callee)); answer.GetReason() != belpoortv1.Reason_REASON_OBJECTED {
				l.t.Errorf("callee %d: %v, %v; want the call refused", callee, answer, err)
			}
		}
	}
	return took
}

// wantEachOnce compares the ledger with what was answered: every objection is there once.
func (l *load) wantEachOnce(database string) {
	l.t.Helper()
	answered := len(l.inForce) + len(l.pending)
	rig.Query(l.t, database, func(conn *pgx.Conn) error {
		var facts, callees int
		err := conn.QueryRow(l.t.Context(), fmt.Sprintf("SELECT count(*), count(DISTINCT callee) FROM facts WHERE kind = %d", record.KindObjection)).
			Scan(&facts, &callees)
		if err == nil && (facts != callees || facts < answered || facts > len(l.objected)) {
			err = fmt.Errorf("%d objections about %d callees in the ledger; %d were answered, %d asked for", facts, callees, answered, len(l.objected))
		}
		l.t.Logf("%d objections in the ledger, about %d callees; %d were answered", facts, callees, answered)
		return err
	})
}
