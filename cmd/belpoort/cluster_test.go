package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/rig"
)

// leaseTerm is how long a node may go on by what it holds, as the fence has it.
const leaseTerm = 2 * time.Second

// cluster is some nodes, each a process of its own, on one PostgreSQL and one Redis. Every node reaches them by proxies of
// its own, so that it can be cut off alone.
type cluster struct {
	t        testing.TB
	postgres *rig.Postgres
	database string
	redis    *rig.Redis
	nodes    []*clusterNode
}

type clusterNode struct {
	*process
	toLedger, toRedis *rig.Proxy
	conn              *grpc.ClientConn
	key               string
}

// startCluster starts nodes with the tests' catalogue applied. args go to every node's serve.
func startCluster(t testing.TB, nodes int, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, postgres: rig.NewPostgres(t), redis: rig.StartRedis(t, rig.RedisOptions{})}
	c.database = c.postgres.Database(t)
	for range nodes {
		c.startNode(args...)
	}
	c.nodes[0].must("apply", write(t, t.TempDir(), "catalogue.yaml", testCatalogue()))
	return c
}

// startNode adds a node, with the keys of the first.
func (c *cluster) startNode(args ...string) *clusterNode {
	c.t.Helper()
	n := c.prepareNode()
	n.begin(args...)
	n.awaitReady()
	n.dial()
	return n
}

func (c *cluster) prepareNode() *clusterNode {
	c.t.Helper()
	data := filepath.Join(c.t.TempDir(), "data")
	if len(c.nodes) > 0 {
		if err := copyPrivately(filepath.Join(c.nodes[0].data, "keys"), filepath.Join(data, "keys")); err != nil {
			c.t.Fatal(err)
		}
	}
	ledger, err := url.Parse(c.database)
	if err != nil {
		c.t.Fatal(err)
	}
	n := &clusterNode{
		process:  &process{t: c.t, data: data, grpc: freeAddress(c.t), http: freeAddress(c.t), ops: freeAddress(c.t)},
		toLedger: rig.StartProxy(c.t, ledger.Host), toRedis: rig.StartProxy(c.t, c.redis.Address()),
	}
	ledger.Host = n.toLedger.Address()
	n.args = []string{
		"--ledger", ledger.String(), "--redis", "redis://" + n.toRedis.Address() + "/0", "--node-name", fmt.Sprint("node", len(c.nodes)+1),
		"--allow-window", "0", "--log-level", "warn",
	}
	c.nodes = append(c.nodes, n)
	return n
}

// copyPrivately copies a folder for its owner only.
func copyPrivately(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		} else if err == nil {
			err = os.Chmod(path, 0o600)
		}
		return err
	})
}

// dial opens a connection that many callers may share.
func (n *clusterNode) dial() {
	n.t.Helper()
	key, err := os.ReadFile(filepath.Join(n.data, "keys", "operator.key"))
	if err != nil {
		n.t.Fatal(err)
	}
	n.key = strings.TrimSpace(string(key))
	again := grpc.ConnectParams{ // soon, so that what is seen is the node's own return
		Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 100 * time.Millisecond}, MinConnectTimeout: time.Second,
	}
	n.conn, err = grpc.NewClient(n.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(again))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { n.conn.Close() })
}

// restart ends the process without a word and starts it again on its old data and addresses.
func (n *clusterNode) restart() {
	n.t.Helper()
	n.kill()
	n.begin()
	n.awaitReady()
}

func (n *clusterNode) as(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+n.key)
}

// ask asks for a call to a callee as a dialer does.
func (n *clusterNode) ask(ctx context.Context, callee string) (*belpoortv1.CheckCallResponse, error) {
	return belpoortv1.NewGatekeeperServiceClient(n.conn).CheckCall(n.as(ctx), &belpoortv1.CheckCallRequest{
		Callee: callee, Campaign: "volt", CallerId: shownNumber,
	})
}

// within is ask with a deadline.
func (n *clusterNode) within(d time.Duration, callee string) (*belpoortv1.CheckCallResponse, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), d)
	defer cancel()
	return n.ask(ctx, callee)
}

// object registers an objection; the request id makes it happen once.
func (n *clusterNode) object(ctx context.Context, callee, requestID string) (*belpoortv1.RegisterObjectionResponse, error) {
	return belpoortv1.NewObjectionServiceClient(n.conn).RegisterObjection(n.as(ctx), &belpoortv1.RegisterObjectionRequest{
		Callee: callee, Campaign: "volt", Via: belpoortv1.Via_VIA_IVR, RequestId: requestID,
	})
}

// consent records a consent given now, at the person's own initiative, which lifts an earlier objection.
func (n *clusterNode) consent(ctx context.Context, callee, id string) (*belpoortv1.RecordFactResponse, error) {
	return belpoortv1.NewRegisterServiceClient(n.conn).RecordFact(n.as(ctx), &belpoortv1.RecordFactRequest{
		Callee: callee, RequestId: id, Fact: consentFact(id, time.Now()),
	})
}

func consentFact(id string, at time.Time) *belpoortv1.Fact {
	given := timestamppb.New(at)
	return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Consent{Consent: &belpoortv1.Consent{
		ConsentId: id, Organisations: []string{"voltwerk"}, Products: []string{"power"}, Person: "J. Jansen",
		Purposes: []belpoortv1.Purpose{belpoortv1.Purpose_PURPOSE_COMMERCIAL}, GiveTime: given, OwnInitiative: true,
		Method: belpoortv1.ConsentMethod_CONSENT_METHOD_WEB_FORM, Source: "https://voltwerk.example/bel-mij", Wording: "web-1",
		Evidence: &belpoortv1.Evidence{
			Uri: "s3://proof/1", Sha256: "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069",
		},
		Verified: &belpoortv1.Verification{Method: belpoortv1.VerificationMethod_VERIFICATION_METHOD_SMS, VerifyTime: given},
	}}}
}

// consents records one consent for each of many callees, all at once.
func (n *clusterNode) consents(from, through int) {
	n.t.Helper()
	stream, err := belpoortv1.NewRegisterServiceClient(n.conn).RecordFacts(n.as(n.t.Context()))
	if err != nil {
		n.t.Fatal(err)
	}
	const each = 500
	for first := from; first < through; first += each {
		m := &belpoortv1.RecordFactsRequest{}
		for i := first; i < min(first+each, through); i++ {
			m.Facts = append(m.Facts, &belpoortv1.RecordFactRequest{
				Callee: subject(i), RequestId: fmt.Sprint("first-", i), Fact: consentFact(fmt.Sprint("first-", i), time.Now().Add(-time.Hour)),
			})
		}
		if err := stream.Send(m); err != nil && err != io.EOF {
			n.t.Fatal(err)
		}
	}
	answer, err := stream.CloseAndRecv()
	if err != nil || answer.GetRejected() > 0 {
		n.t.Fatalf("recording consents: %v, %v", answer, err)
	}
}

// subject is one of many callees.
func subject(i int) string { return fmt.Sprintf("+316%08d", 20_000_000+i) }

func isAllowed(answer *belpoortv1.CheckCallResponse) bool {
	return answer.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW
}

// wantAllowed wants every node to allow a call, within a time in which they may still be recovering.
func (c *cluster) wantAllowed(callee string, within time.Duration) {
	c.t.Helper()
	for i, n := range c.nodes {
		var answer *belpoortv1.CheckCallResponse
		var err error
		for deadline := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
			if answer, err = n.within(time.Second, callee); isAllowed(answer) {
				break
			}
			if time.Now().After(deadline) {
				c.t.Fatalf("node %d does not allow the call: %v, %v\n%s", i+1, answer, err, n.log)
			}
		}
	}
}

// metric reads one of the node's figures, by its name and labels; it waits for a node that is not ready yet.
func (n *clusterNode) metric(name string) float64 {
	n.t.Helper()
	_, body := get(n.ops, "/metrics")
	for line := range strings.Lines(body) {
		if text, is := strings.CutPrefix(strings.TrimSpace(line), name+" "); is {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				n.t.Fatal(err)
			}
			return value
		}
	}
	n.t.Fatalf("no figure %s:\n%s", name, body)
	return 0
}

// pause stops the process where it is; resume lets it go on.
func (n *clusterNode) pause()  { _ = n.cmd.Process.Signal(syscall.SIGSTOP) }
func (n *clusterNode) resume() { _ = n.cmd.Process.Signal(syscall.SIGCONT) }

// comesTrue waits until something is true, and gives the time that it took.
func comesTrue(t testing.TB, within time.Duration, what string, is func() bool) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		if is() {
			return time.Since(began)
		}
		if time.Since(began) > within {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// soak is how long a long test runs, by SOAK; without it the test is skipped.
func soak(t *testing.T) time.Duration {
	t.Helper()
	if os.Getenv("SOAK") == "" {
		t.Skip("a long test: set SOAK to a duration, such as 10m")
	}
	return soakOr(t, 0)
}

// soakOr is how long a test runs, by SOAK, and otherwise.
func soakOr(t *testing.T, otherwise time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("SOAK")
	if text == "" {
		return otherwise
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SOAK: %v", err)
	}
	return length
}

// lockedLog keeps what a process logs, to be read while it runs.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
