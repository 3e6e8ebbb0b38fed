package ledger_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
	"github.com/belpoort/belpoort/rig"
)

func nodeID(n int) (id ledger.NodeID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

func mustAnnounce(t *testing.T, l *ledger.Postgres, id ledger.NodeID, applied uint64) time.Time {
	t.Helper()
	at, err := l.Announce(t.Context(), id, "node", applied)
	if err != nil {
		t.Fatalf("Announce: %v", err)
	}
	return at
}

// nodes gives the nodes by id.
func nodes(t *testing.T, l *ledger.Postgres) map[ledger.NodeID]ledger.Node {
	t.Helper()
	all, err := l.Nodes(t.Context())
	if err != nil {
		t.Fatalf("Nodes: %v", err)
	}
	byID := map[ledger.NodeID]ledger.Node{}
	for _, n := range all {
		byID[n.ID] = n
	}
	return byID
}

func wantApplied(t *testing.T, l *ledger.Postgres, id ledger.NodeID, applied uint64) {
	t.Helper()
	if n, there := nodes(t, l)[id]; !there || n.Applied != applied {
		t.Errorf("node %+v, there: %v, want it to have applied %d", n, there, applied)
	}
}

func TestNodesComeAndGo(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	here, there := openPostgres(t, url, ledger.Options{}), openPostgres(t, url, ledger.Options{})
	a, b := nodeID(1), nodeID(2)
	first := mustAnnounce(t, here, a, 7)
	if second := mustAnnounce(t, there, b, 0); second.Before(first) {
		t.Errorf("the ledger's clock gives %v, then %v", first, second)
	}
	before := nodes(t, there)
	if len(before) != 2 || before[a].Announced == before[b].Announced || before[a].Name != "node" {
		t.Fatalf("nodes %+v", before)
	}
	wantApplied(t, there, a, 7)
	if _, err := here.Announce(t.Context(), a, "renamed", 3); err != nil {
		t.Fatal(err)
	}
	if now := nodes(t, there)[a]; now.Applied != 7 || now.Name != "renamed" || now.Announced <= before[b].Announced {
		t.Errorf("after announcing less: %+v, was %+v", now, before[a])
	}
	for _, applied := range []uint64{9, 8} {
		if err := here.Acknowledge(t.Context(), a, applied); err != nil {
			t.Fatal(err)
		}
		wantApplied(t, there, a, 9)
	}
	for id, announced := range map[ledger.NodeID]uint64{a: before[a].Announced, b: before[b].Announced} {
		if err := there.Lapse(t.Context(), id, announced); err != nil {
			t.Fatal(err)
		}
	}
	if now := nodes(t, here); len(now) != 1 || now[a].Applied != 9 {
		t.Errorf("one node has announced itself since, the other has not: %+v", now)
	}
	if err := here.Leave(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := here.Acknowledge(t.Context(), a, 10); err != nil {
		t.Errorf("acknowledging without a row: %v", err)
	}
	if left := nodes(t, there); len(left) != 0 {
		t.Errorf("after leaving: %+v", left)
	}
}

func TestBadNodesAreRefused(t *testing.T) {
	l := newPostgres(t)
	for what, err := range map[string]error{
		"empty name":      announceError(t, l, nodeID(1), "", 0),
		"name with NUL":   announceError(t, l, nodeID(1), "a\x00b", 0),
		"long name":       announceError(t, l, nodeID(1), strings.Repeat("x", ledger.MaxKey+1), 0),
		"zero id":         announceError(t, l, ledger.NodeID{}, "node", 0),
		"far too far":     announceError(t, l, nodeID(1), "node", math.MaxInt64+1),
		"acknowledge":     l.Acknowledge(t.Context(), nodeID(1), math.MaxUint64),
		"acknowledge (0)": l.Acknowledge(t.Context(), ledger.NodeID{}, 1),
	} {
		if !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := l.Lapse(t.Context(), nodeID(1), math.MaxUint64); err != nil {
		t.Errorf("lapsing nobody: %v", err)
	}
	if now := nodes(t, l); len(now) != 0 {
		t.Errorf("nodes %+v", now)
	}
}

func announceError(t *testing.T, l *ledger.Postgres, id ledger.NodeID, name string, applied uint64) error {
	_, err := l.Announce(t.Context(), id, name, applied)
	return err
}

// TestLapseSparesANodeThatCameBack: one that had lapsed, or left, announces itself anew, while somebody still holds what it
// had announced before.
func TestLapseSparesANodeThatCameBack(t *testing.T) {
	l := newPostgres(t)
	id := nodeID(1)
	held := map[uint64]bool{}
	for round := range 6 {
		mustAnnounce(t, l, id, 1)
		announced := nodes(t, l)[id].Announced
		for old := range held {
			if err := l.Lapse(t.Context(), id, old); err != nil {
				t.Fatal(err)
			}
		}
		if _, there := nodes(t, l)[id]; !there || held[announced] {
			t.Fatalf("round %d: announced as %d after %v; there: %v", round, announced, held, there)
		}
		held[announced] = true
		end := l.Leave(t.Context(), id)
		if round%2 == 0 {
			mustAnnounce(t, l, id, 1)
			end = l.Lapse(t.Context(), id, nodes(t, l)[id].Announced)
		}
		if _, there := nodes(t, l)[id]; end != nil || there {
			t.Fatalf("round %d: still there: %v, %v", round, there, end)
		}
	}
}

// TestAnnounceRacesLapse: others lapse, all the time, what a node announced earlier. The announcement that has just
// returned is never hit.
func TestAnnounceRacesLapse(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	l, other := openPostgres(t, url, ledger.Options{}), openPostgres(t, url, ledger.Options{})
	id := nodeID(1)
	var mu sync.Mutex
	var earlier []uint64
	ctx, stop := context.WithCancel(t.Context())
	var lapsers sync.WaitGroup
	for range 3 {
		lapsers.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				batch := earlier[max(0, len(earlier)-3):]
				mu.Unlock()
				for _, announced := range batch {
					if err := other.Lapse(ctx, id, announced); err != nil && ctx.Err() == nil {
						t.Errorf("Lapse: %v", err)
					}
				}
			}
		})
	}
	for round := range 150 {
		mustAnnounce(t, l, id, 1)
		n, there := nodes(t, l)[id]
		if !there {
			t.Errorf("round %d: lapsed by what it announced earlier", round)
			break
		}
		mu.Lock()
		earlier = append(earlier, n.Announced)
		mu.Unlock()
	}
	stop()
	lapsers.Wait()
}

// meeting is what one announcement or one append saw of the other side.
type meeting struct {
	id   ledger.NodeID // of the node that announced itself, then read changes up to head
	head uint64
}

// TestAnnounceMeetsEveryAppend: nodes announce themselves, each once, and then read the changes; writers append, and then
// read the nodes. Of each pair at least one has seen the other.
func TestAnnounceMeetsEveryAppend(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	writer, node := openPostgres(t, url, ledger.Options{}), openPostgres(t, url, ledger.Options{})
	ctx, stop := context.WithCancel(t.Context())
	var met []meeting
	var announcing sync.WaitGroup
	announcing.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			mustAnnounce(t, node, nodeID(n), 0)
			met = append(met, meeting{nodeID(n), readToHead(t, node)})
		}
	})
	const writers, each = 3, 40
	var appending sync.WaitGroup
	seen := make([]map[ledger.NodeID]ledger.Node, writers*each+1) // by position
	for w := range writers {
		appending.Go(func() {
			for i := range each {
				got := mustAppend(t, writer, ledgertest.Fact(w, fmt.Sprint(w, " ", i)))
				seen[got[0].Position] = nodes(t, writer)
			}
		})
	}
	appending.Wait()
	stop()
	announcing.Wait()
	var bySight, byReading int
	for _, m := range met {
		for position := 1; position < len(seen); position++ {
			_, noticed := seen[position][m.id]
			if !noticed && uint64(position) > m.head {
				t.Fatalf("node %x read up to %d, and who appended %d did not see it", m.id[:8], m.head, position)
			}
			if noticed {
				bySight++
			} else {
				byReading++
			}
		}
	}
	if bySight == 0 || byReading == 0 {
		t.Errorf("%d met by the node's row, %d by reading: nothing raced", bySight, byReading)
	}
}

func readToHead(t *testing.T, l *ledger.Postgres) uint64 {
	t.Helper()
	changes, head, err := l.Changes(t.Context(), 0, ledger.MaxChanges)
	if err != nil || uint64(len(changes)) != head {
		t.Errorf("%d changes to head %d: %v", len(changes), head, err)
	}
	return head
}

// TestAnnouncedNodesOutliveTheServer: the server dies the moment an announcement has returned.
func TestAnnouncedNodesOutliveTheServer(t *testing.T) {
	s := rig.NewPostgres(t)
	l := openPostgres(t, s.Database(t), ledger.Options{})
	last := uint64(0)
	for n := 1; n <= 2; n++ {
		mustAnnounce(t, l, nodeID(n), uint64(n))
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		now := nodes(t, l)
		if len(now) != n || now[nodeID(n)].Applied != uint64(n) || now[nodeID(n)].Announced <= last {
			t.Fatalf("after %d deaths, announced as %d before: %+v", n, last, now)
		}
		last = now[nodeID(n)].Announced
	}
}

// TestOnlyAnnounceWaitsForTheStandby: it is away, so an announcement fails, and an operator who cuts the wait short does
// not make it succeed. An acknowledgement, a lapse and a farewell do not wait.
func TestOnlyAnnounceWaitsForTheStandby(t *testing.T) {
	s := rig.NewPostgres(t)
	l := openPostgres(t, s.Database(t), ledger.Options{})
	id := nodeID(1)
	mustAnnounce(t, l, id, 1)
	rig.Run(t, s.URL("postgres"), "ALTER SYSTEM SET synchronous_standby_names = 'away'", "SELECT pg_reload_conf()")
	var err error
	for range 1000 { // until the session has read the configuration again
		if _, err = l.Announce(t.Context(), id, "node", 1); err != nil {
			break
		}
	}
	if !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), "in time") && !strings.Contains(err.Error(), "unknown") {
		t.Errorf("announcing without the standby: %v", err)
	}
	if err := l.Acknowledge(t.Context(), id, 5); err != nil {
		t.Errorf("Acknowledge: %v", err)
	}
	wantApplied(t, l, id, 5)
	cutShort(t, s, l, id)
	rig.Run(t, s.URL("postgres"), "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
	rig.WaitFor(t, s.URL("postgres"), "SELECT current_setting('synchronous_standby_names') = ''")
	for range 20 { // each takes a second if it fails
		if _, err = l.Announce(t.Context(), id, "node", 6); err == nil {
			break
		}
	}
	wantApplied(t, l, id, 6)
}

// cutShort cancels the wait of announcements until one is told so, which it must be by an error.
func cutShort(t *testing.T, s *rig.Postgres, l *ledger.Postgres, id ledger.NodeID) {
	t.Helper()
	for {
		done := make(chan error, 1)
		go func() {
			_, err := l.Announce(t.Context(), id, "node", 1)
			done <- err
		}()
		rig.WaitFor(t, s.URL("postgres"), "SELECT count(*) > 0 FROM (SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep') c")
		err := <-done
		if err == nil {
			t.Fatal("an announcement succeeds whose wait for the standby was cut short")
		}
		if strings.Contains(err.Error(), "unknown") {
			return
		}
	}
}

// TestNodesDoNotWaitForOthers: appends, shipments and reads all hang, as many as the ledger has connections for, and the
// head is locked by another session.
func TestNodesDoNotWaitForOthers(t *testing.T) {
	url := rig.SharedPostgres(t).Database(t)
	l := openPostgres(t, url, ledger.Options{})
	mustAppend(t, l, ledgertest.Fact(1, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rig.Query(t, url, func(conn *pgx.Conn) error {
		for _, lock := range []string{"BEGIN", "SELECT * FROM head FOR UPDATE", "LOCK TABLE callees, places"} {
			if _, err := conn.Exec(t.Context(), lock); err != nil {
				return err
			}
		}
		var hanging sync.WaitGroup
		hanging.Go(func() { _, _ = l.Append(ctx, []ledger.Append{ledgertest.Fact(1, "b")}) })
		for i := range 8 {
			hanging.Go(func() { _ = l.ShipDecisions(ctx, fmt.Sprint(i), 0, 1, nil) })
			hanging.Go(func() { _, _ = l.SealedNumber(ctx, ledgertest.Callee(1)) })
		}
		rig.WaitFor(t, url, "SELECT count(*) = 7 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
		for range 20 {
			mustAnnounce(t, l, nodeID(1), 1)
			if head := readToHead(t, l); head != 1 {
				t.Errorf("head %d", head)
			}
			if err := l.Acknowledge(t.Context(), nodeID(1), 1); err != nil {
				t.Errorf("Acknowledge: %v", err)
			}
			wantApplied(t, l, nodeID(1), 1)
		}
		_, err := conn.Exec(t.Context(), "ROLLBACK")
		cancel()
		hanging.Wait()
		return err
	})
}
