package main

import (
	"strings"
	"testing"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/rig"
)

// In a rolling upgrade the first new node migrates the shared ledger. The old nodes go on, also over connections that are new;
// an old node that starts then does not, and changes nothing.
func TestARunningNodeOutlivesAMigration(t *testing.T) {
	c := startCluster(t, 1)
	n := c.nodes[0]
	n.consents(0, 3)
	rig.Run(t, c.database, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1234, true)")
	n.toLedger.Cut()
	n.toLedger.Heal()
	eventually(t, "an ALLOW after the migration", func() bool {
		answer, err := n.within(5*time.Second, subject(0))
		return err == nil && isAllowed(answer)
	})
	eventually(t, "an objection in force after the migration", func() bool {
		answer, err := n.object(contextWithTimeout(t, 5*time.Second), subject(1), "o-1")
		return err == nil && answer.GetState() == belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE
	})
	if answer, err := n.within(5*time.Second, subject(1)); err != nil || isAllowed(answer) {
		t.Errorf("against an objection: %v, %v", answer, err)
	}
	late := c.prepareNode()
	late.begin()
	err := <-late.exited
	late.exited <- err
	if said := late.log.String(); err == nil || !strings.Contains(said, "schema 1234") || !strings.Contains(said, "use a newer belpoort") {
		t.Errorf("an old node started on a newer schema: %v\n%s", err, said)
	}
	if answer, err := n.within(5*time.Second, subject(2)); err != nil || !isAllowed(answer) {
		t.Errorf("beside an old node that was refused: %v, %v", answer, err)
	}
}
