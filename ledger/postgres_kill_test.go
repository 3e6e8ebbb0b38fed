package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
	"github.com/belpoort/belpoort/rig"
)

// TestKill9Postgres kills the server under eight appenders, again and again. Whatever was acknowledged is there
// afterwards, once, where it was said to be; the same ledger goes on; and repeating what was left unknown settles it.
func TestKill9Postgres(t *testing.T) {
	cycles := 3
	if testing.Short() {
		cycles = 1
	}
	s := rig.NewPostgres(t)
	l := openPostgres(t, s.Database(t), ledger.Options{})
	acknowledged := map[string]uint64{}
	for cycle := range cycles {
		var unknown []string
		var mu sync.Mutex
		var appenders sync.WaitGroup
		flowing := make(chan struct{}, 1)
		for a := range 8 {
			appenders.Go(func() {
				for n := 0; ; n++ {
					key := fmt.Sprintf("%d-%d-%d", cycle, a, n)
					got, err := l.Append(t.Context(), []ledger.Append{ledgertest.Fact(a, key)})
					mu.Lock()
					if err != nil {
						unknown = append(unknown, key)
						if !errors.Is(err, ledger.ErrUnavailable) {
							t.Errorf("%s: %v", key, err)
						}
						mu.Unlock()
						return
					}
					acknowledged[key] = got[0].Position
					mu.Unlock()
					if n == 20 {
						select {
						case flowing <- struct{}{}:
						default:
						}
					}
				}
			})
		}
		<-flowing
		s.Stop()
		appenders.Wait()
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		for _, key := range unknown {
			acknowledged[key] = repeatUntilTaken(t, l, key)
		}
		wantStored(t, l, acknowledged)
	}
	if head, err := l.Head(t.Context()); err != nil || head != uint64(len(acknowledged)) {
		t.Errorf("head %d, %v, acknowledged %d", head, err, len(acknowledged))
	}
}

// repeatUntilTaken passes the connections that the pool does not yet know to be dead.
func repeatUntilTaken(t *testing.T, l ledger.Ledger, key string) uint64 {
	t.Helper()
	var a int
	if _, err := fmt.Sscanf(key[strings.IndexByte(key, '-')+1:], "%d-", &a); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		got, err := l.Append(t.Context(), []ledger.Append{ledgertest.Fact(a, key)})
		if err == nil {
			return got[0].Position
		}
		if !errors.Is(err, ledger.ErrUnavailable) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s is never taken", key)
	return 0
}

// TestHungPostgresHoldsNobody: every call ends with its context while the server hangs, and the ledger goes on after.
func TestHungPostgresHoldsNobody(t *testing.T) {
	s := rig.NewPostgres(t)
	l := openPostgres(t, s.Database(t), ledger.Options{})
	mustAppend(t, l, ledgertest.Fact(1, "a"))
	s.Pause()
	defer s.Resume()
	calls := map[string]func(context.Context) error{
		"Append": func(ctx context.Context) error {
			_, err := l.Append(ctx, []ledger.Append{ledgertest.Fact(1, "b")})
			return err
		},
		"Facts": func(ctx context.Context) error { _, err := l.Facts(ctx, ledgertest.Callee(1), 0); return err },
		"Tail":  func(ctx context.Context) error { _, err := l.Tail(ctx, 0, 1); return err },
		"Wait":  func(ctx context.Context) error { return l.Wait(ctx, 1) },
		"Ship":  func(ctx context.Context) error { return l.ShipDecisions(ctx, "j", 0, 1, nil) },
	}
	ended := make(chan error, 3*len(calls))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for name, call := range calls {
		for range 3 {
			go func() {
				err := call(ctx)
				if !errors.Is(err, context.DeadlineExceeded) {
					ended <- fmt.Errorf("%s: %w", name, err)
					return
				}
				ended <- nil
			}()
		}
	}
	overdue := time.After(15 * time.Second) // below what the ledger allows itself for a write
	for range cap(ended) {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-overdue:
			t.Fatal("a call outlives its context")
		}
	}
	s.Resume()
	if got := repeatUntilTaken(t, l, "0-1-b"); got < 2 {
		t.Errorf("after the hang: position %d", got)
	}
	if r, err := l.Verify(t.Context()); err != nil || !r.OK() {
		t.Errorf("Verify: %+v, %v", r, err)
	}
}

// TestCommitWithoutItsStandbyIsUnknown: a commit waits for a standby that is not there, and an operator cuts the wait
// short. PostgreSQL then reports success with a warning; for the ledger it is none, nor is the repeat before the standby
// is there.
func TestCommitWithoutItsStandbyIsUnknown(t *testing.T) {
	s := rig.NewPostgres(t)
	url := s.Database(t)
	l := openPostgres(t, url, ledger.Options{})
	rig.Run(t, s.URL("postgres"), "ALTER SYSTEM SET synchronous_standby_names = 'away'", "SELECT pg_reload_conf()")
	rig.WaitFor(t, s.URL("postgres"), "SELECT current_setting('synchronous_standby_names') = 'away'")
	for n := range 2 {
		done := make(chan error, 1)
		go func() { // until the server's processes have all read the configuration again, commits still succeed
			var err error
			for err == nil {
				_, err = l.Append(t.Context(), []ledger.Append{ledgertest.Fact(1, "a")})
			}
			done <- err
		}()
		rig.WaitFor(t, s.URL("postgres"), "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		rig.WaitFor(t, s.URL("postgres"), "SELECT count(*) > 0 FROM (SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep') c")
		if err := <-done; !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), "unknown") {
			t.Fatalf("try %d: %v", n, err)
		}
	}
	rig.Run(t, s.URL("postgres"), "ALTER SYSTEM SET synchronous_standby_names = ''", "ALTER SYSTEM SET synchronous_commit = 'local'", "SELECT pg_reload_conf()")
	rig.WaitFor(t, s.URL("postgres"), "SELECT current_setting('synchronous_standby_names') = ''")
	if got := mustAppend(t, l, ledgertest.Fact(1, "a"))[0]; !got.Repeated || got.Position != 1 {
		t.Errorf("with the standby's duty gone: %+v", got)
	}
	rig.Run(t, s.URL("postgres"), "ALTER SYSTEM SET synchronous_standby_names = 'away'", "SELECT pg_reload_conf()")
	rig.WaitFor(t, s.URL("postgres"), "SELECT current_setting('synchronous_standby_names') = 'away'")
	wantPostgresRefusal(t, url, ledger.ErrUnavailable, "synchronous_commit is local", "away")
}
