package server

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/eligibility"
)

// More checks than there are places are refused at once; objections have places of their own, and when the checks are
// through there is room again.
func TestTooManyChecksAreShed(t *testing.T) {
	const places = 4
	n := startNode(t, func(c *Config) { c.Checks = places })
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	hold, held := make(chan struct{}), make(chan struct{}, places)
	n.breakJournal(func(operation string) error {
		if operation == "Append" {
			held <- struct{}{}
			<-hold
		}
		return nil
	})
	var waiting sync.WaitGroup
	for range places {
		waiting.Go(func() { n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent) })
	}
	for range places {
		<-held
	}
	_, err := n.check("dialer-acme", checkOf(knownCallee))
	wantShed(t, "one too many", err)
	if _, err := n.object("ivr-acme", objectionOf("06-12345670", "o")); err != nil {
		t.Errorf("an objection beside too many checks: %v", err)
	}
	close(hold)
	waiting.Wait()
	n.breakJournal(func(string) error { return nil })
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
	if n.metric("belpoort_checks_shed_total") != 1 {
		t.Error("the check that was shed was not counted")
	}
}

// A check whose turn comes too late is refused while many others are under way, and answered late where it is alone.
func TestAnOldCheckIsShedWhereItIsCrowded(t *testing.T) {
	const patience = 10 * time.Millisecond
	n := startNode(t, func(c *Config) { c.Checks, c.Patience = 4, patience })
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	admission := n.admission
	late := func() error {
		for range admission.most { // others compute
			admission.again()
		}
		answered := make(chan error, 1)
		go func() {
			_, err := n.check("dialer-acme", checkOf(knownCallee))
			answered <- err
		}()
		time.Sleep(5 * patience)
		for range admission.most {
			admission.end()
		}
		return <-answered
	}
	if err := late(); err != nil {
		t.Errorf("late and alone: %v", err)
	}
	for range 3 { // places taken by others, who wait for something
		admission.places <- struct{}{}
	}
	wantShed(t, "late in a crowd", late())
	if _, err := n.check("dialer-acme", checkOf(knownCallee)); err != nil {
		t.Errorf("in time in a crowd: %v", err)
	}
}

// What a check waits for beside computing keeps no other check from computing: here each holds the journal, and more of them
// than may compute at once are all decided.
func TestAWaitingCheckLetsOthersCompute(t *testing.T) {
	n := startNode(t, nil)
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	many := 2 * n.admission.most
	together, arrived := make(chan struct{}), make(chan struct{}, many)
	n.breakJournal(func(operation string) error {
		if operation == "Append" {
			arrived <- struct{}{}
			<-together
		}
		return nil
	})
	var waiting sync.WaitGroup
	for range many {
		waiting.Go(func() { n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent) })
	}
	for range many {
		<-arrived
	}
	close(together)
	waiting.Wait()
	if places, computing := len(n.admission.places), n.admission.computing; places+computing != 0 {
		t.Errorf("%d places and %d turns were never given back", places, computing)
	}
}

// No more may wait for their turn than will have it in time: beyond that a check is refused at once, though there are places.
func TestTheQueueIsAsLongAsItsPaceAllows(t *testing.T) {
	a := newAdmission(256, 20*time.Millisecond)
	began := time.Now()
	pace := func(rate int, length time.Duration) (room int) {
		for at := time.Duration(0); at < length; at += time.Second / time.Duration(rate) {
			if r, known := a.pace.note(began.Add(at), a.patience, cap(a.places)); known {
				room = r
			}
		}
		began = began.Add(length)
		return room
	}
	if room := pace(2000, time.Second); room < 36 || room > 44 {
		t.Errorf("at 2000 checks a second %d may wait for 20 ms, want about 40", room)
	}
	if room := pace(200_000, time.Second); room != 256 {
		t.Errorf("at 200000 checks a second %d may wait, want as many as there are places", room)
	}
	a.pace.latest, a.pace.idle = 10, true
	if room, _ := a.pace.note(a.pace.since.Add(paceEvery), a.patience, cap(a.places)); room != 20 {
		t.Errorf("after a moment without a queue %d may wait, want more than the 10 before", room)
	}
	if room, _ := a.pace.note(a.pace.since.Add(time.Minute), a.patience, cap(a.places)); room != 256 {
		t.Errorf("long afterwards %d may wait, want as many as there are places", room)
	}
	a.room.Store(0)
	if !a.full() {
		t.Error("without room in the queue a check is not refused")
	}
}

// Who gives up waiting leaves the queue, and passes a turn on that came too late.
func TestGivingUpKeepsNobodyWaiting(t *testing.T) {
	a := newAdmission(64, time.Second)
	for range a.most {
		if err := a.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	var turns atomic.Int64
	for i := range 32 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%8)*time.Millisecond)
			defer cancel()
			if a.begin(ctx) == nil {
				turns.Add(1)
				a.end()
			}
		})
	}
	time.Sleep(4 * time.Millisecond)
	for range a.most {
		a.end()
	}
	all.Wait()
	if a.computing != 0 || a.queue.Len() != 0 || a.waiting.Load() != 0 {
		t.Errorf("%d compute, %d wait, counted as %d; %d had a turn", a.computing, a.queue.Len(), a.waiting.Load(), turns.Load())
	}
}

// wantShed also wants to be told when to come back: by RetryInfo, for whoever reads it.
func wantShed(t *testing.T, what string, err error) {
	t.Helper()
	wantError(t, what, err, codes.ResourceExhausted, ReasonOverloaded, "")
	for _, detail := range status.Convert(err).Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok && retry.GetRetryDelay().AsDuration() == pushback {
			return
		}
	}
	t.Errorf("%s: no RetryInfo in %v", what, err)
}
