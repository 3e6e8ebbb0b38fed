//go:build !race

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/disktest"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/server"
)

// degraded is a cluster that a row of the table of degraded states is tried on. Its callees: one consented, one
// objected before; the others consented and object in their turn.
type degraded struct {
	*cluster
	last int
}

const (
	consenter = 0
	objector  = 1
	// soon is within which what was away must be used again; how long it takes is logged.
	soon = 20 * time.Second
)

// The table of degraded states, row by row, with the real servers taken away. Between the rows everything is normal.
func TestDegradedStates(t *testing.T) {
	c := &degraded{startCluster(t, 2), objector}
	c.nodes[0].consents(0, 700)
	c.objects(c.nodes[0], objector, belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE)
	for _, row := range []struct {
		name string
		try  func(*degraded)
	}{
		{"RedisKilled", (*degraded).redisKilled},
		{"RedisHung", (*degraded).redisHung},
		{"RedisFlushed", (*degraded).redisFlushed},
		{"RedisRolledBack", (*degraded).redisRolledBack},
		{"PostgresKilled", (*degraded).postgresKilled},
		{"PostgresHung", (*degraded).postgresHung},
		{"PostgresRestarted", (*degraded).postgresRestarted},
		{"BothDown", (*degraded).bothDown},
		{"PendingOverRestart", (*degraded).pendingOverRestart},
		{"ColdNode", (*degraded).coldNode},
	} {
		t.Run(row.name, func(t *testing.T) {
			c.t = t
			c.wantNormal()
			row.try(c)
			c.wantNormal()
		})
	}
}

// objects registers an objection and wants this state.
func (c *degraded) objects(n *clusterNode, callee int, want belpoortv1.ObjectionState) *belpoortv1.RegisterObjectionResponse {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	began := time.Now()
	answer, err := n.object(ctx, subject(callee), fmt.Sprint("degraded-", callee))
	if err != nil || answer.GetState() != want {
		c.t.Fatalf("objection: %v, %v; want %v\n%s", answer, err, want, n.log)
	}
	c.t.Logf("objection: %v after %v", want, time.Since(began).Round(time.Millisecond))
	return answer
}

// another is a callee who has consented and not objected.
func (c *degraded) another() int {
	c.last++
	return c.last
}

// wantRefused wants a node to refuse for an objection, at once.
func (c *degraded) wantRefused(n *clusterNode, callee int) {
	c.t.Helper()
	answer, err := n.within(time.Second, subject(callee))
	if err != nil || answer.GetReason() != belpoortv1.Reason_REASON_OBJECTED {
		c.t.Errorf("%s: %v, %v; want it refused for the objection", n.ops, answer, err)
	}
}

// wantRefusedEverywhere is what "in force" means.
func (c *degraded) wantRefusedEverywhere(callee int) {
	c.t.Helper()
	for _, n := range c.nodes {
		c.wantRefused(n, callee)
	}
}

// wantUndecided wants "could not be checked", and tells how long it took.
func (c *degraded) wantUndecided(n *clusterNode, callee int) {
	c.t.Helper()
	began := time.Now()
	answer, err := n.within(time.Second, subject(callee))
	code := status.Code(err)
	if err == nil || code != codes.Unavailable && code != codes.DeadlineExceeded {
		c.t.Errorf("%v, %v; want that it could not be checked", answer, err)
	}
	reason, _ := server.ReasonOf(err)
	c.t.Logf("%v %s after %v", code, reason, time.Since(began).Round(10*time.Microsecond))
}

// wantNormal wants calls allowed, old objections heeded, a new one in force everywhere, Redis used, and health green.
func (c *degraded) wantNormal() {
	c.t.Helper()
	began := time.Now()
	c.wantAllowed(subject(consenter), soon)
	for _, n := range c.nodes {
		comesTrue(c.t, soon, "Redis is used", func() bool { return n.metric("belpoort_redis_up") == 1 })
		comesTrue(c.t, soon, "the lease is held", func() bool { return n.metric("belpoort_lease_remaining_seconds") > 0 })
		comesTrue(c.t, soon, "nothing waits", func() bool { return n.metric("belpoort_pending_objections") == 0 })
		if status, body := get(n.ops, "/readyz"); status != 200 {
			c.t.Errorf("health: %d %s", status, body)
		}
	}
	c.t.Logf("normal after %v", time.Since(began).Round(time.Millisecond))
	callee := c.another()
	c.objects(c.nodes[0], callee, belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE)
	c.wantRefusedEverywhere(callee)
	c.wantRefusedEverywhere(objector)
}

// wantWithoutRedis is the row "Redis down, ledger up": as normal, by way of the ledger.
func (c *degraded) wantWithoutRedis() {
	c.t.Helper()
	callee := c.another()
	c.wantAllowed(subject(callee), time.Second)
	c.objects(c.nodes[1], callee, belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE)
	c.wantRefusedEverywhere(callee)
	c.wantRefusedEverywhere(objector)
	c.wantAllowed(subject(consenter), time.Second)
	for _, n := range c.nodes {
		comesTrue(c.t, soon, "Redis is known to be away", func() bool { return n.metric("belpoort_redis_up") == 0 })
		if status, _ := get(n.ops, "/readyz"); status != 200 {
			c.t.Errorf("health: %d; checks can be made without Redis", status)
		}
	}
}

func (c *degraded) redisKilled() {
	c.redis.Kill()
	c.wantWithoutRedis()
	c.redis.Start()
}

func (c *degraded) redisHung() {
	c.redis.Pause()
	c.wantWithoutRedis()
	c.redis.Resume()
}

func (c *degraded) redisFlushed() {
	callee := c.another()
	c.wantAllowed(subject(callee), time.Second)
	c.objects(c.nodes[0], callee, belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE)
	c.redis.Do("FLUSHALL")
	c.wantRefusedEverywhere(callee)
	c.wantRefusedEverywhere(objector)
	c.wantAllowed(subject(consenter), time.Second)
}

// redisRolledBack has Redis give records from before an objection. The mutant mutant_cache_redis_no_floor must fail here.
func (c *degraded) redisRolledBack() {
	n, callee := c.nodes[1], c.another()
	c.usesRecord(n, consenter)
	c.usesRecord(n, callee)
	c.redis.Dump()
	defer c.redis.ForgetDump()
	c.objects(c.nodes[0], callee, belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE)
	rejected := n.metric(`belpoort_cache_rejected_total{cause="below_floor"}`)
	c.redis.Restart()
	c.usesRecord(n, consenter)
	c.wantRefused(n, callee)
	if n.metric(`belpoort_cache_rejected_total{cause="below_floor"}`) == rejected {
		c.t.Error("no old record was met")
	}
	c.wantRefusedEverywhere(callee)
	c.wantAllowed(subject(consenter), time.Second)
}

// usesRecord waits until a call is answered from a record in Redis.
func (c *degraded) usesRecord(n *clusterNode, callee int) {
	c.t.Helper()
	const hits = `belpoort_cache_lookups_total{result="hit"}`
	comesTrue(c.t, soon, "a record in Redis is used", func() bool {
		before := n.metric(hits)
		_, err := n.within(time.Second, subject(callee))
		return err == nil && n.metric(hits) > before
	})
}

// wantWithoutLedger is the row "Redis up, ledger down". The mutants mutant_lease_unchecked and mutant_fence_no_lease must
// fail here.
func (c *degraded) wantWithoutLedger() (receipts map[string]*clusterNode) {
	c.t.Helper()
	for _, n := range c.nodes {
		answer, err := n.within(time.Second, subject(consenter))
		if remaining := n.metric("belpoort_lease_remaining_seconds"); remaining > 0.1 && !isAllowed(answer) {
			c.t.Errorf("%v, %v; the lease holds for %v s", answer, err, remaining)
		}
	}
	for _, n := range c.nodes {
		comesTrue(c.t, soon, "the lease runs out", func() bool { return n.metric("belpoort_lease_remaining_seconds") == 0 })
		c.wantUndecided(n, consenter)
		comesTrue(c.t, soon, "a known objection refuses", func() bool { // when the ledger is known to be away
			answer, _ := n.within(time.Second, subject(objector))
			return answer.GetReason() == belpoortv1.Reason_REASON_OBJECTED
		})
	}
	return c.wantPending()
}

// wantPending wants each node to keep an objection, to tell so, and to heed it. The mutant mutant_pending_forgotten must
// fail here.
func (c *degraded) wantPending() map[string]*clusterNode {
	c.t.Helper()
	receipts := map[string]*clusterNode{}
	for _, n := range c.nodes {
		callee := c.another()
		answer := c.objects(n, callee, belpoortv1.ObjectionState_OBJECTION_STATE_PENDING)
		receipts[answer.GetReceipt()] = n
		if found, err := n.state(answer.GetReceipt()); found != belpoortv1.ObjectionState_OBJECTION_STATE_PENDING {
			c.t.Errorf("by its receipt: %v, %v", found, err)
		}
		c.wantRefused(n, callee)
	}
	return receipts
}

// state is that of an objection.
func (n *clusterNode) state(receipt string) (belpoortv1.ObjectionState, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	answer, err := belpoortv1.NewObjectionServiceClient(n.conn).GetObjection(n.as(ctx), &belpoortv1.GetObjectionRequest{Receipt: receipt})
	return answer.GetState(), err
}

// back wants objections that waited to be in force everywhere soon after.
func (c *degraded) back(receipts map[string]*clusterNode) {
	c.t.Helper()
	began := time.Now()
	for receipt, n := range receipts {
		comesTrue(c.t, soon, "an objection that waited is in force", func() bool {
			state, _ := n.state(receipt)
			return state == belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE
		})
	}
	c.t.Logf("all in force after %v", time.Since(began).Round(time.Millisecond))
	for callee := c.last - len(receipts) + 1; callee <= c.last; callee++ {
		c.wantRefusedEverywhere(callee)
	}
}

func (c *degraded) startPostgres() {
	c.t.Helper()
	if err := c.postgres.Start(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *degraded) postgresKilled() {
	c.postgres.Stop()
	receipts := c.wantWithoutLedger()
	c.startPostgres()
	c.back(receipts)
}

func (c *degraded) postgresHung() {
	c.postgres.Pause()
	receipts := c.wantWithoutLedger()
	c.postgres.Resume()
	c.back(receipts)
}

func (c *degraded) postgresRestarted() {
	callee := c.another()
	if err := c.postgres.Restart(); err != nil {
		c.t.Fatal(err)
	}
	c.wantAllowed(subject(callee), soon)
	c.objects(c.nodes[1], callee, belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE)
	c.wantRefusedEverywhere(callee)
}

// bothDown: the mutant mutant_allow_unchecked must fail here.
func (c *degraded) bothDown() {
	c.redis.Kill()
	c.postgres.Stop()
	for _, n := range c.nodes {
		for range 8 {
			c.wantUndecided(n, consenter)
		}
	}
	receipts := c.wantPending()
	c.redis.Start()
	c.startPostgres()
	c.back(receipts)
}

// pendingOverRestart kills a node that keeps many objections, and starts it again on a slow line to the ledger. The mutant
// mutant_serve_before_replay must fail here.
func (c *degraded) pendingOverRestart() {
	const many = 500
	n := c.nodes[1]
	c.postgres.Stop()
	for range many {
		callee := c.another()
		if answer, err := n.object(c.t.Context(), subject(callee), fmt.Sprint("degraded-", callee)); err != nil {
			c.t.Fatalf("%v, %v", answer, err)
		}
	}
	c.objects(n, c.another(), belpoortv1.ObjectionState_OBJECTION_STATE_PENDING)
	n.kill()
	c.startPostgres()
	n.toLedger.Delay(3 * time.Millisecond)
	n.begin()
	comesTrue(c.t, soon, "the call is refused", func() bool {
		answer, err := n.within(time.Second, subject(c.last))
		if err == nil && answer.GetReason() != belpoortv1.Reason_REASON_OBJECTED {
			c.t.Fatalf("%v, against an objection that waited here", answer)
		}
		return err == nil
	})
	n.toLedger.Heal()
	n.awaitReady()
}

// coldNode starts a third node on a slow line to the ledger.
func (c *degraded) coldNode() {
	n := c.prepareNode()
	n.toLedger.Delay(3 * time.Millisecond)
	n.begin()
	n.dial()
	began := time.Now()
	callee := c.another()
	c.nodes = c.nodes[:2]
	c.objects(c.nodes[0], callee, belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE)
	for tries := 1; ; tries++ {
		ctx, cancel := context.WithTimeout(c.t.Context(), 50*time.Millisecond)
		answer, err := n.ask(ctx, subject(consenter))
		cancel()
		if isAllowed(answer) {
			c.t.Logf("first allowed after %v, question %d", time.Since(began).Round(time.Millisecond), tries)
			break
		}
		if time.Since(began) > soon {
			c.t.Fatalf("%v, %v\n%s", answer, err, n.log)
		}
		time.Sleep(2 * time.Millisecond)
	}
	n.awaitReady()
	if n.metric("belpoort_lease_remaining_seconds") == 0 {
		c.t.Error("ready without a lease")
	}
	c.wantRefused(n, callee)
	c.wantRefused(n, objector)
	n.toLedger.Heal()
	n.stop()
}

// smallDisk, where set, is the folder on which a node under test mounts a disk of its own before it starts.
const (
	smallDisk   = "BELPOORT_TEST_SMALL_DISK"
	cannotMount = "cannot mount a small disk"
)

// Only the node itself sees the mount.
func init() {
	disk := os.Getenv(smallDisk)
	if disk == "" || os.Getenv(beMain) != "1" {
		return
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=140m"); err != nil {
		fmt.Fprintln(os.Stderr, cannotMount, err)
		os.Exit(1)
	}
	err := copyPrivately(filepath.Join(filepath.Dir(disk), "keys"), filepath.Join(disk, "keys"))
	if err == nil { // leave room for no second segment of the journal
		err = os.WriteFile(filepath.Join(disk, "ballast"), make([]byte, 60<<20), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The row "journal disk full": no call is allowed there, refusals and objections go on, and with room it is normal again.
// The journal's first segment is reserved, and takes long to use up. The mutant mutant_answer_before_journal must fail here.
func TestDegradedJournalDiskFull(t *testing.T) {
	soak(t)
	c := &degraded{startCluster(t, 1), objector}
	c.nodes[0].consents(0, 20)
	n := c.prepareNode()
	n.onSmallDisk()
	c.wantAllowed(subject(consenter), soon)
	c.askUntilFull(n)
	c.wantUndecided(n, consenter)
	c.objects(c.nodes[0], objector, belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE)
	c.wantRefusedEverywhere(objector)
	c.objects(n, c.another(), belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE)
	c.wantRefusedEverywhere(c.last)
	c.wantUndecided(n, consenter)
	if err := os.Remove(filepath.Join(fmt.Sprint("/proc/", n.cmd.Process.Pid, "/root"), n.data, "ballast")); err != nil {
		t.Fatal(err)
	}
	c.wantNormal()
}

// onSmallDisk starts the node with its data on a disk of its own.
func (n *clusterNode) onSmallDisk() {
	n.t.Helper()
	n.dial()
	n.data = filepath.Join(n.data, "disk")
	if err := os.Mkdir(n.data, 0o700); err != nil {
		n.t.Fatal(err)
	}
	n.apart = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := os.Setenv(smallDisk, n.data); err != nil {
		n.t.Fatal(err)
	}
	defer os.Unsetenv(smallDisk)
	n.begin()
	select {
	case err := <-n.exited:
		n.exited <- err
		if text := n.log.String(); strings.Contains(text, cannotMount) {
			disktest.NotRun(n.t, "a full disk: "+text)
		}
	case <-time.After(time.Second):
	}
	n.awaitReady()
}

// askUntilFull asks, with much to write down, until the journal's first segment is used up.
func (c *degraded) askUntilFull(n *clusterNode) {
	c.t.Helper()
	var asked, full atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range 64 {
		all.Go(func() {
			for full.Load() == 0 && asked.Load() < 300_000 {
				if asked.Add(1)%1000 == 0 {
					_, err := n.within(time.Second, subject(consenter))
					if reason, _ := server.ReasonOf(err); reason == server.ReasonJournalUnavailable {
						full.Add(1)
					}
				}
				_, _ = belpoortv1.NewGatekeeperServiceClient(n.conn).CheckCall(n.as(c.t.Context()), &belpoortv1.CheckCallRequest{
					Callee: subject(objector), Campaign: "volt", CallerId: shownNumber,
					RequestId: strings.Repeat("r", 128), Person: strings.Repeat("p", 128),
				})
			}
		})
	}
	all.Wait()
	c.t.Logf("the journal is full after %d calls and %v", asked.Load(), time.Since(began).Round(time.Millisecond))
	if full.Load() == 0 {
		c.t.Fatal("the journal never got full")
	}
}
