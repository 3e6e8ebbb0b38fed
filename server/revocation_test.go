package server

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func numbered(i int) string { return fmt.Sprintf("+316%08d", 10_000_000+i) }

// soak is how long a test runs: longer where SOAK says so.
func soak(t *testing.T, otherwise time.Duration) time.Duration {
	t.Helper()
	if os.Getenv("SOAK") == "" {
		return otherwise
	}
	length, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Fatal(err)
	}
	return length
}

// load records a consent for many callees.
func (n *node) load(callees int) {
	n.t.Helper()
	stream, err := belpoortv1.NewRegisterServiceClient(n.conn).RecordFacts(n.as("register-all"))
	if err != nil {
		n.t.Fatal(err)
	}
	for from := 0; from < callees; from += maxFacts {
		m := &belpoortv1.RecordFactsRequest{}
		for i := from; i < min(from+maxFacts, callees); i++ {
			m.Facts = append(m.Facts, &belpoortv1.RecordFactRequest{
				Callee: numbered(i), Fact: consentOf("c", "acme"), RequestId: fmt.Sprint("load-", i),
			})
		}
		if err := stream.Send(m); err != nil {
			n.t.Fatal(err)
		}
	}
	answer, err := stream.CloseAndRecv()
	if err != nil || answer.GetRecorded() != uint64(callees) {
		n.t.Fatalf("loading: %v, %v", answer, err)
	}
}

// G1 on one node: no check begun after RegisterObjection returned is ALLOW, while checks of the same callees keep the cache
// and the ledger busy. The mutant mutant_no_raise must fail here.
func TestNoCheckAfterAnObjectionIsAllowed(t *testing.T) {
	const objectors, checkersEach = 4, 2
	length := soak(t, 3*time.Second)
	callees := 2000 * (1 + int(length/time.Minute)*10)
	n := startNode(t, nil)
	n.load(callees)
	var allowed, refused, late, rounds atomic.Int64
	turn := func(i int) {
		var objected atomic.Bool
		var warm, checkers sync.WaitGroup
		warm.Add(checkersEach)
		for range checkersEach {
			checkers.Go(func() {
				for first := true; ; first = false {
					after := objected.Load()
					answer, err := n.check("dialer-acme", checkOf(numbered(i)))
					switch {
					case err != nil:
						t.Errorf("callee %d: %v", i, err)
					case answer.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW && after:
						late.Add(1)
					case answer.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW:
						allowed.Add(1)
					default:
						refused.Add(1)
					}
					if first {
						warm.Done()
					}
					if after || err != nil {
						return
					}
				}
			})
		}
		warm.Wait()
		if _, err := n.object("ivr-acme", objectionOf(numbered(i), fmt.Sprint("o-", i))); err != nil {
			t.Error(err)
		}
		objected.Store(true)
		checkers.Wait()
	}
	var all sync.WaitGroup
	end := time.Now().Add(length)
	for range objectors {
		all.Go(func() {
			for i := int(rounds.Add(1)); i <= callees && time.Now().Before(end); i = int(rounds.Add(1)) {
				turn(i - 1)
			}
		})
	}
	all.Wait()
	if late.Load() > 0 {
		t.Errorf("%d checks begun after the objection were allowed", late.Load())
	}
	t.Logf("%d callees, %d checks allowed before their objection, %d refused", rounds.Load(), allowed.Load(), refused.Load())
	if allowed.Load() < 20 || refused.Load() < 20 || n.metric(`belpoort_cache_lookups_total{result="hit"}`) < 20 {
		t.Error("too little was tried")
	}
}

// A check that shares a reading which began before the objection must not be answered from it. The mutant
// mutant_no_second_look must fail here.
func TestACheckThatSharesAnOldReadingIsDecidedAgain(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	reading, release := make(chan struct{}), make(chan struct{})
	var reads atomic.Int32
	n.breakLedger(func(operation string) error {
		if operation == "Facts answered" && reads.Add(1) == 1 {
			close(reading)
			<-release
		}
		return nil
	})
	answers := make(chan *belpoortv1.CheckCallResponse, 2)
	ask := func() {
		answer, err := n.check("dialer-acme", checkOf(callee))
		if err != nil {
			t.Error(err)
		}
		answers <- answer
	}
	go ask()
	<-reading // the consent is read, the objection is not there yet
	if _, err := n.object("ivr-acme", objectionOf(callee, "o-1")); err != nil {
		t.Fatal(err)
	}
	go ask()
	n.waitForMisses(2)
	close(release)
	for range 2 {
		n.wants(<-answers, eligibility.Deny, eligibility.Objected)
	}
	if reads.Load() < 2 {
		t.Errorf("the ledger was read %d times", reads.Load())
	}
}

// An objection that arrives while the ALLOW goes to disk is taken into account.
func TestAnObjectionDuringTheJournalWriteIsSeen(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.mustCheck(callee)
	var once sync.Once
	n.breakJournal(func(operation string) error {
		if operation == "Append" {
			once.Do(func() {
				if _, err := n.object("ivr-acme", objectionOf(callee, "o-1")); err != nil {
					t.Error(err)
				}
			})
		}
		return nil
	})
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)
}

// What the ledger took counts, though the client that brought it did not wait for the answer.
func TestAnObjectionWhoseClientLeftCounts(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	taken, release := make(chan struct{}), make(chan struct{})
	n.breakLedger(func(operation string) error {
		if operation == "Append answered" {
			close(taken)
			<-release
		}
		return nil
	})
	ctx, cancel := context.WithCancel(n.as("ivr-acme"))
	failed := make(chan error, 1)
	go func() {
		_, err := belpoortv1.NewObjectionServiceClient(n.conn).RegisterObjection(ctx, objectionOf(callee, "o-1"))
		failed <- err
	}()
	<-taken
	cancel()
	if err := <-failed; err == nil {
		t.Fatal("a cancelled objection was answered")
	}
	close(release)
	n.breakLedger(func(string) error { return nil })
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		answer := n.mustCheck(callee)
		if answer.GetVerdict() == belpoortv1.Verdict_VERDICT_DENY {
			n.wants(answer, eligibility.Deny, eligibility.Objected)
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the objection does not count")
		}
	}
}

// A campaign stopped by a new catalogue is refused from the answer on; so is a caller ID taken away.
func TestAStoppedCampaignIsRefusedAtOnce(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	stopped := testCatalogue()
	stopped.Campaigns[0].Suspended = true
	n.apply(stopped)
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.CampaignSuspended)
	without := testCatalogue()
	without.CallerIds = without.CallerIds[1:]
	n.apply(without)
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.CallerIDNotRegistered)
	n.apply(testCatalogue())
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
}
