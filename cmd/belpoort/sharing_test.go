package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/rig"
)

// Several nodes as a user runs them: what one of them acknowledged, the others heed at once.
func TestWhatOneNodeAcknowledgesTheOthersHeed(t *testing.T) {
	c := startCluster(t, 3)
	one, two, three := c.nodes[0], c.nodes[1], c.nodes[2]
	one.consents(0, 4)
	for i := range 4 {
		c.wantAllowed(subject(i), 0)
	}
	t.Run("erasure", func(t *testing.T) {
		erased, err := belpoortv1.NewRegisterServiceClient(two.conn).EraseCallee(two.as(t.Context()), &belpoortv1.EraseCalleeRequest{
			Callee: subject(3), RequestId: "e"})
		if err != nil {
			t.Fatalf("%v, %v", erased, err)
		}
		wantRefused(t, c, subject(3), "NO_BASIS")
	})
	t.Run("objection", func(t *testing.T) {
		if _, err := two.object(t.Context(), subject(0), "o"); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, c, subject(0), "OBJECTED")
	})
	t.Run("consent", func(t *testing.T) {
		if _, err := three.consent(t.Context(), subject(0), "again"); err != nil {
			t.Fatal(err)
		}
		c.wantAllowed(subject(0), 0)
	})
	t.Run("a digit pressed in a call that another node allowed", func(t *testing.T) {
		menu := "  ivr_menus: [{id: m, organisation: voltwerk, digits: {9: OBJECT}}]\n  product_families:"
		two.must("apply", write(t, t.TempDir(), "catalogue.yaml", strings.Replace(testCatalogue(), "  product_families:", menu, 1)))
		allowed, err := belpoortv1.NewGatekeeperServiceClient(one.conn).CheckCall(one.as(t.Context()), &belpoortv1.CheckCallRequest{
			Callee: subject(2), Campaign: "volt", CallerId: shownNumber, CallId: "V1"})
		if err != nil || !isAllowed(allowed) {
			t.Fatalf("%v, %v", allowed, err)
		}
		press := &belpoortv1.RecordObjectionOfferRequest{CallId: "V1", How: belpoortv1.OfferHow_OFFER_HOW_IVR, Menu: "m", Digit: "9"}
		var answer *belpoortv1.RecordObjectionOfferResponse
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the decision has to reach the ledger
			answer, err = belpoortv1.NewObjectionServiceClient(three.conn).RecordObjectionOffer(three.as(t.Context()), press)
			if status.Code(err) != codes.NotFound || time.Now().After(deadline) {
				break
			}
		}
		if err != nil || answer.GetObjectionState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
			t.Fatalf("%v, %v", answer, err)
		}
		wantRefused(t, c, subject(2), "OBJECTED")
		again, err := belpoortv1.NewObjectionServiceClient(two.conn).RegisterObjection(two.as(t.Context()), &belpoortv1.RegisterObjectionRequest{
			Permit: allowed.GetPermit(), Via: belpoortv1.Via_VIA_AGENT})
		if err != nil || again.GetReceipt() != answer.GetReceipt() {
			t.Errorf("the same objection by its permit: %v, %v, want receipt %s", again, err, answer.GetReceipt())
		}
	})
	t.Run("stopped campaign", func(t *testing.T) {
		stopped := strings.Replace(testCatalogue(), "dialing: PREDICTIVE}", "dialing: PREDICTIVE, suspended: true}", 1)
		one.must("apply", write(t, t.TempDir(), "catalogue.yaml", stopped))
		wantRefused(t, c, subject(1), "CAMPAIGN_SUSPENDED")
		one.must("apply", write(t, t.TempDir(), "catalogue.yaml", testCatalogue()))
		c.wantAllowed(subject(1), 0)
	})
	t.Run("caller ID taken away", func(t *testing.T) {
		without := strings.Replace(testCatalogue(), "+31201234567", "+31201234566", 1)
		three.must("apply", write(t, t.TempDir(), "catalogue.yaml", without))
		wantRefused(t, c, subject(1), "CALLER_ID_NOT_REGISTERED")
	})
}

func wantRefused(t *testing.T, c *cluster, callee, reason string) {
	t.Helper()
	for i, n := range c.nodes {
		answer, err := n.within(time.Second, callee)
		if err != nil || isAllowed(answer) || answer.GetReason().String() != "REASON_"+reason {
			t.Errorf("node %d: %v, %v, want %s", i+1, answer, err, reason)
		}
	}
}

// Dialers that ask different nodes for the same callee at the same moment get one ALLOW among them.
func TestOneCallAtATimeOnSeveralNodes(t *testing.T) {
	c := startCluster(t, 2, "--allow-window", "10s")
	const callees, enough = 300, 10
	c.nodes[0].consents(0, callees)
	tried := 0
	for i := 0; i < callees && tried < enough; i++ {
		unanswered := c.metric("belpoort_redis_unanswered_lookups_total")
		var allowed, put atomic.Int64
		var all sync.WaitGroup
		for dialer := range 8 {
			all.Go(func() {
				answer, err := c.nodes[dialer%2].within(2*time.Second, subject(i))
				switch {
				case err != nil:
					t.Error(err)
				case isAllowed(answer):
					allowed.Add(1)
				default:
					put.Add(1)
				}
			})
		}
		all.Wait()
		if c.metric("belpoort_redis_unanswered_lookups_total") != unanswered {
			continue // a busy machine: Redis came too late, and each node was on its own
		}
		tried++
		if allowed.Load() != 1 || put.Load() != 7 {
			t.Errorf("callee %d: %d dialers were allowed to call, %d put off", i, allowed.Load(), put.Load())
		}
	}
	if tried < 3 {
		t.Errorf("Redis answered in time for %d callees only", tried)
	}
}

// metric is the sum of a metric over the nodes.
func (c *cluster) metric(name string) float64 {
	c.t.Helper()
	sum := 0.0
	for _, n := range c.nodes {
		_, page := get(n.ops, "/metrics")
		for line := range strings.Lines(page) {
			if text, is := strings.CutPrefix(line, name+" "); is {
				value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
				if err != nil {
					c.t.Fatal(err)
				}
				sum += value
			}
		}
	}
	return sum
}

// Without Redis every node keeps its own records; the floors come through the ledger all the same.
func TestSeveralNodesWithoutRedis(t *testing.T) {
	c := &cluster{t: t, postgres: rig.SharedPostgres(t), redis: rig.StartRedis(t, rig.RedisOptions{})}
	c.database = c.postgres.Database(t)
	for range 2 {
		n := c.prepareNode()
		n.args = append([]string{}, n.args[:2]...) // --ledger URL
		n.args = append(n.args, "--allow-window", "0")
		n.begin()
		n.awaitReady()
		n.dial()
	}
	c.nodes[0].must("apply", write(t, t.TempDir(), "catalogue.yaml", testCatalogue()))
	c.nodes[0].consents(0, 1)
	c.wantAllowed(subject(0), 0)
	if _, err := c.nodes[0].object(t.Context(), subject(0), "o"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, c, subject(0), "OBJECTED")
}

// What a node must refuse at its start, with what to do.
func TestWrongServersAreRefusedAtTheStart(t *testing.T) {
	postgres := rig.SharedPostgres(t)
	database := postgres.Database(t)
	old := filepath.Join(t.TempDir(), "old")
	first := serveIn(t, old, "--ledger", database)
	first.stop()
	evicting := rig.StartRedis(t, rig.RedisOptions{Config: []string{"maxmemory 64mb", "maxmemory-policy allkeys-lru"}})
	replica := rig.StartRedis(t, rig.RedisOptions{ReplicaOf: rig.StartRedis(t, rig.RedisOptions{})})
	powerless := rig.StartRedis(t, rig.RedisOptions{Users: []string{"weak on >secret ~belpoort:* -@all +get +info"}})
	taken := rig.StartRedis(t, rig.RedisOptions{})
	owner := serveIn(t, filepath.Join(t.TempDir(), "owner"), "--ledger", postgres.Database(t), "--redis", "redis://"+taken.Address())
	owner.stop()
	for name, one := range map[string]struct {
		args []string
		data string
		says string
	}{
		"no such host":           {args: []string{"--ledger", "postgres://belpoort@127.0.0.1:1/belpoort"}, says: "--ledger: "},
		"no URL":                 {args: []string{"--ledger", "mysql://db"}, says: "--ledger: "},
		"Redis alone":            {args: []string{"--redis", "redis://127.0.0.1:1"}, says: "--redis needs --ledger"},
		"no Redis URL":           {args: []string{"--ledger", database, "--redis", "http://x"}, data: old, says: "--redis: "},
		"Redis that evicts":      {args: []string{"--ledger", database, "--redis", "redis://" + evicting.Address()}, data: old, says: "noeviction"},
		"a replica":              {args: []string{"--ledger", database, "--redis", "redis://" + replica.Address()}, data: old, says: "replica"},
		"no rights in Redis":     {args: []string{"--ledger", database, "--redis", "redis://weak:secret@" + powerless.Address()}, data: old, says: "ACL SETUSER"},
		"another's Redis":        {args: []string{"--ledger", database, "--redis", "redis://" + taken.Address()}, data: old, says: "deployment"},
		"another deployment key": {args: []string{"--ledger", database}, says: "deployment.key"},
		"an impossible window":   {args: []string{"--allow-window", "1m"}, says: "--allow-window"},
	} {
		t.Run(name, func(t *testing.T) {
			data := one.data
			if data == "" {
				data = filepath.Join(t.TempDir(), "data")
			}
			code, out := cli(t, append([]string{"serve", "--data", data, "--grpc", "127.0.0.1:0", "--ops", "127.0.0.1:0"}, one.args...)...)
			if code == exitOK || !strings.Contains(out, one.says) || strings.Contains(out, "secret@") {
				t.Errorf("exit %d: %s\nwant %q", code, out, one.says)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(old, "keys", "deployment.key")); err != nil {
		t.Error(err)
	}
}

// Reports of imports and runs of retention make no node load the catalogue anew, as a catalogue does.
func TestReportsStandAside(t *testing.T) {
	store, err := ledger.OpenPostgres(t.Context(), rig.SharedPostgres(t).Database(t), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Append(t.Context(), []ledger.Append{
		{RequestKey: "c", Kind: record.KindCatalogue}, {RequestKey: "i", Kind: record.KindImport},
		{RequestKey: "s", Kind: record.KindCampaignStates}, {RequestKey: "f", Kind: record.KindConsent, Callee: eligibility.CalleeToken{1}},
		{RequestKey: "r", Kind: record.KindRetention},
	}); err != nil {
		t.Fatal(err)
	}
	changes, _, err := fencing{store}.Changes(t.Context(), 0, 10)
	if err != nil || len(changes) != 5 {
		t.Fatalf("%v, %v", changes, err)
	}
	for i, c := range changes {
		if c.Aside != (i == 1 || i == 4) {
			t.Errorf("position %d: %+v", i+1, c)
		}
	}
}
