package server

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/journal"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// pendingShip replays a journal of pending objections into the node, and keeps its place in the node's ledger.
type pendingShip struct{ n *node }

func (p pendingShip) Place(ctx context.Context, source string) (uint64, error) {
	return p.n.door.ledger.Place(ctx, source)
}

func (p pendingShip) Ship(ctx context.Context, source string, from, through uint64, payloads [][]byte) error {
	if err := p.n.Replay(ctx, payloads); err != nil {
		return err
	}
	return p.n.door.ledger.ShipDecisions(ctx, source, from-1, through, nil)
}

// startKeeping is a node that keeps objections for a ledger that is away.
func startKeeping(t *testing.T, dir string) (*node, *journal.Journal) {
	t.Helper()
	j, err := journal.Open(filepath.Join(dir, "pending"), journal.Options{SegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	n := newNode(t, dir, func(c *Config) { c.Pending = j })
	n.start()
	n.apply(testCatalogue())
	return n, j
}

func (n *node) replays(j *journal.Journal) {
	ctx, stop := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() {
		_ = j.Follow(ctx, pendingShip{n}, journal.FollowOptions{Delay: time.Millisecond, BackoffMax: 50 * time.Millisecond})
	})
	n.t.Cleanup(func() { stop(); following.Wait() })
}

func knownObjectionOf(organisation string) *belpoortv1.Fact {
	fact := knownObjection()
	fact.GetObjection().Organisation = organisation
	return fact
}

func knownWithdrawalOf(consent string) *belpoortv1.Fact {
	fact := knownWithdrawal()
	fact.GetWithdrawal().ConsentId = consent
	return fact
}

// An objection that the ledger cannot take is kept here: answered PENDING, in force on this node at once, found by its
// receipt, and brought to the ledger once, when it is back. The mutant mutant_pending_forgotten must fail here.
func TestAnObjectionIsKeptWhileTheLedgerIsAway(t *testing.T) {
	n, j := startKeeping(t, t.TempDir())
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
	head := n.head()
	n.breakLedger(func(string) error { return ErrLedgerAway })
	first, err := n.object("ivr-acme", objectionOf(knownCallee, "o"))
	if err != nil || first.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_PENDING || first.GetReceipt() == "" {
		t.Fatalf("%v, %v", first, err)
	}
	again, err := n.object("ivr-acme", objectionOf(knownCallee, "o"))
	if err != nil || again.GetReceipt() != first.GetReceipt() {
		t.Errorf("a repeat got %v, %v", again, err)
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
	n.wantState(first.GetReceipt(), belpoortv1.ObjectionState_OBJECTION_STATE_PENDING)
	if n.PendingObjections() != 1 {
		t.Errorf("%d objections are pending", n.PendingObjections())
	}

	n.replays(j)
	n.breakLedger(func(string) error { return nil })
	n.awaitNonePending()
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
	n.wantState(first.GetReceipt(), belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE)
	if after := n.head(); after != head+1 {
		t.Errorf("the ledger grew from %d to %d facts for one objection", head, after)
	}
	last, err := n.object("ivr-acme", objectionOf(knownCallee, "o"))
	if err != nil || last.GetReceipt() != first.GetReceipt() || last.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
		t.Errorf("a late repeat got %v, %v", last, err)
	}
}

func (n *node) head() uint64 {
	n.t.Helper()
	head, err := n.door.ledger.Head(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return head
}

func (n *node) wantState(receipt string, state belpoortv1.ObjectionState) {
	n.t.Helper()
	found, err := belpoortv1.NewObjectionServiceClient(n.conn).GetObjection(n.as("ivr-acme"), &belpoortv1.GetObjectionRequest{Receipt: receipt})
	if err != nil || found.GetState() != state || found.GetObjection().GetOrganisation() != "acme" {
		n.t.Errorf("by its receipt: %v, %v; want %v", found, err, state)
	}
}

func (n *node) awaitNonePending() {
	n.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); n.PendingObjections() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatalf("%d objections are still pending", n.PendingObjections())
		}
	}
}

// The ledger may have taken the objection although it did not say so: it is recorded once.
func TestAnObjectionWhoseOutcomeIsUnknownIsRecordedOnce(t *testing.T) {
	n, j := startKeeping(t, t.TempDir())
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	head := n.head()
	n.breakLedger(func(operation string) error {
		if operation == "Append answered" {
			return ErrLedgerAway
		}
		return nil
	})
	answer, err := n.object("ivr-acme", objectionOf(knownCallee, "o"))
	if err != nil || answer.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_PENDING {
		t.Fatalf("%v, %v", answer, err)
	}
	n.breakLedger(func(string) error { return nil })
	n.replays(j)
	n.awaitNonePending()
	if after := n.head(); after != head+1 {
		t.Errorf("the ledger grew from %d to %d", head, after)
	}
}

// A ledger that hangs does not keep the IVR waiting beyond its patience, and the objection that it takes late is there once.
func TestAHangingLedgerMakesAnObjectionPending(t *testing.T) {
	n, j := startKeeping(t, t.TempDir())
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	head := n.head()
	hang := make(chan struct{})
	var hung atomic.Int64
	n.breakLedger(func(operation string) error {
		if operation == "Append" {
			hung.Add(1)
			<-hang
		}
		return nil
	})
	answer, err := n.object("ivr-acme", objectionOf(knownCallee, "o"))
	if err != nil || answer.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_PENDING || hung.Load() != 1 {
		t.Fatalf("%v, %v, %d appends", answer, err, hung.Load())
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
	close(hang)
	n.replays(j)
	n.awaitNonePending()
	if after := n.head(); after != head+1 {
		t.Errorf("the ledger grew from %d to %d", head, after)
	}
}

// What the ledger refuses for a fault of its own is no pending objection.
func TestARefusedObjectionIsNotKept(t *testing.T) {
	n, _ := startKeeping(t, t.TempDir())
	if _, err := n.object("ivr-acme", objectionOf(knownCallee, "o")); err != nil {
		t.Fatal(err)
	}
	_, err := n.object("ivr-acme", objectionOf("06-12345670", "o"))
	wantError(t, "another callee under the same id", err, codes.AlreadyExists, ReasonRequestReused, "request_id")
	if n.PendingObjections() != 0 {
		t.Error("it was kept")
	}
}

// An objection whose request_id another node meanwhile used for another callee is recorded all the same.
func TestAPendingObjectionIsNeverDropped(t *testing.T) {
	n, j := startKeeping(t, t.TempDir())
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	n.breakLedger(func(string) error { return ErrLedgerAway })
	if _, err := n.object("ivr-acme", objectionOf(knownCallee, "o")); err != nil {
		t.Fatal(err)
	}
	n.breakLedger(func(string) error { return nil })
	n.elsewhere("06-12345670", knownObjectionOf("acme"), objectionKey("ivr-acme", "o"))
	n.replays(j)
	n.awaitNonePending()
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
}

// Objections about other organisations do not stop this one's calls.
func TestAPendingObjectionReachesItsOrganisationOnly(t *testing.T) {
	n, _ := startKeeping(t, t.TempDir())
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
	n.breakLedger(func(string) error { return ErrLedgerAway })
	other := objectionOf(knownCallee, "o")
	other.Campaign = "globex-x"
	if _, err := n.object("ivr-all", other); err != nil {
		t.Fatal(err)
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
}
