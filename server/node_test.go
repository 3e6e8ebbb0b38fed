package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/cache"
	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/eligibility/law"
	"github.com/belpoort/belpoort/journal"
	"github.com/belpoort/belpoort/keyring"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ops"
	"github.com/belpoort/belpoort/permit"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// dutchLaw is read once.
var dutchLaw = sync.OnceValue(func() *eligibility.Law {
	l, err := law.NL()
	if err != nil {
		panic(err)
	}
	return l
})

// memoryCache is the cache in process as the server wants it.
type memoryCache struct {
	*cache.Memory[*eligibility.Eligibility]
}

func (m memoryCache) Look(ctx context.Context, callee eligibility.CalleeToken, hold Hold) Looked {
	f := m.Memory.Look(ctx, callee, cache.Hold(hold))
	looked := Looked{Free: f.Free}
	if f.Found {
		looked.Record = f.Record
	}
	for _, a := range f.Attempts {
		looked.Unreported = append(looked.Unreported, Attempt(a))
	}
	return looked
}

func (m memoryCache) Allowed(callee eligibility.CalleeToken, a Attempt) {
	m.Memory.Allowed(callee, cache.Attempt(a))
}

func (m memoryCache) Put(ctx context.Context, e *eligibility.Eligibility) { m.Memory.Put(ctx, e) }

// signing makes permits as the server wants them.
type signing struct{ keys *permit.Keys }

func (s signing) Sign(p Permit) (string, error) { return s.keys.Sign(permit.Permit(p)) }

func (s signing) ForReport(token string, now time.Time) (Permit, bool, error) {
	p, late, err := s.keys.ForReport(token, now)
	return Permit(p), late, err
}

// journalDoor lets a real journal through; before may hold or break an operation.
type journalDoor struct {
	*journal.Journal
	before atomic.Pointer[func(operation string) error]
}

func (d *journalDoor) Append(ctx context.Context, payload []byte) (uint64, error) {
	if before := d.before.Load(); before != nil {
		if err := (*before)("Append"); err != nil {
			return 0, err
		}
	}
	return d.Journal.Append(ctx, payload)
}

func (d *journalDoor) AppendNoWait(payload []byte) (uint64, error) {
	if before := d.before.Load(); before != nil {
		if err := (*before)("AppendNoWait"); err != nil {
			return 0, err
		}
	}
	return d.Journal.AppendNoWait(payload)
}

// lockedBuffer keeps what was logged.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// node is a whole server over loopback, on a ledger, a journal and a cache of its own.
type node struct {
	*Server
	t       testing.TB
	dir     string
	door    *ledgerDoor
	journal *journalDoor
	ring    *keyring.Ring
	permits signing
	metrics *ops.Metrics
	logs    *lockedBuffer
	level   zap.AtomicLevel
	clock   *atomic.Pointer[time.Time]
	keys    map[string]string // by client id
	addr    string
	conn    *grpc.ClientConn
}

// wednesday is when the tests happen.
var wednesday = time.Date(2026, 11, 18, 14, 0, 0, 0, eligibility.Amsterdam)

// testClients are the keys that every node knows.
var testClients = map[string]string{
	"dialer-all":     `roles: [dialer], organisations: ["*"]`,
	"dialer-acme":    `roles: [dialer], organisations: [acme]`,
	"dialer-globex":  `roles: [dialer], organisations: [globex]`,
	"ivr-acme":       `roles: [ivr], organisations: [acme]`,
	"ivr-all":        `roles: [ivr], organisations: ["*"]`,
	"register-acme":  `roles: [register], organisations: [acme]`,
	"register-all":   `roles: [register], organisations: ["*"]`,
	"compliance-all": `roles: [compliance], organisations: ["*"]`,
	"compliance-two": `roles: [compliance], organisations: [acme]`,
	"compliance-glo": `roles: [compliance], organisations: [globex]`,
	"ops-all":        `roles: [ops], organisations: ["*"]`,
	"ops-acme":       `roles: [ops], organisations: [acme]`,
	"ops-compliance": `roles: [ops, compliance], organisations: ["*"]`,
}

func writeTestKeys(t testing.TB, path string) map[string]string {
	t.Helper()
	plain := map[string]string{}
	var file strings.Builder
	file.WriteString("keys:\n")
	for id, rest := range testClients {
		key, sum := NewKey()
		plain[id] = key
		fmt.Fprintf(&file, "- {id: %s, sha256: %s, %s}\n", id, sum, rest)
	}
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return plain
}

// newNode builds a node in dir without starting it; change may alter its configuration.
func newNode(t testing.TB, dir string, change func(*Config)) *node {
	t.Helper()
	n := &node{t: t, dir: dir, logs: &lockedBuffer{}, level: zap.NewAtomicLevelAt(zap.DebugLevel), clock: &atomic.Pointer[time.Time]{}, door: &ledgerDoor{}}
	n.setClock(wednesday)
	now := func() time.Time { return *n.clock.Load() }
	var err error
	if n.door.ledger, err = ledger.OpenSQLite(t.Context(), filepath.Join(dir, "ledger"), ledger.Options{Clock: now}); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Options{SegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	n.journal = &journalDoor{Journal: j}
	following, stop := context.WithCancel(context.Background())
	followed := make(chan error, 1)
	go func() { followed <- j.Follow(following, n.door, journal.FollowOptions{Delay: time.Millisecond}) }()
	t.Cleanup(func() {
		stop()
		if err := <-followed; !errors.Is(err, context.Canceled) {
			t.Errorf("following the journal: %v", err)
		}
		if err := errors.Join(j.Close(), n.door.ledger.Close()); err != nil {
			t.Error(err)
		}
	})
	if n.ring, _, err = keyring.Open(dir); err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(dir, "keys.yaml")
	n.keys = writeTestKeys(t, keyFile)
	keys, err := OpenKeys(keyFile, func(err error) { n.metrics.Reloaded("keys", err) })
	if err != nil {
		t.Fatal(err)
	}
	n.metrics = ops.New(testWords(), ops.Build{})
	n.metrics.JournalLag(j.Lag)
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(n.logs), n.level))
	records := cache.NewMemory[*eligibility.Eligibility](cache.Options{MaxBytes: 64 << 20, Clock: now})
	permits, err := permit.OpenKeys(filepath.Join(dir, "permit-keys.json"), n.ring.PermitSeed(), func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	n.permits = signing{permits}
	c := Config{
		Permits: n.permits,
		Facts:   n.door, ManyFacts: n.door, Appender: n.door, Eraser: n.door, Disposer: n.door, Walk: n.door, Decisions: n.door, Allowed: n.door, Happened: n.door, Cache: memoryCache{records}, Attempts: memoryCache{records}, Floors: records, Lease: Alone{}, Journal: n.journal,
		Journalled: j.Stats().Appended, Law: dutchLaw(), ParseLaw: law.Parse, Ring: n.ring, Keys: keys, Log: log, Metrics: n.metrics, Clock: now,
	}
	if change != nil {
		change(&c)
	}
	if n.Server, err = New(c); err != nil {
		t.Fatal(err)
	}
	if err := n.RefreshCatalogue(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// startNode starts a node with the test catalogue applied.
func startNode(t testing.TB, change func(*Config)) *node {
	t.Helper()
	n := newNode(t, t.TempDir(), change)
	n.start()
	n.apply(testCatalogue())
	return n
}

func (n *node) start() {
	n.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.Start(listener); err != nil {
		n.t.Fatal(err)
	}
	n.addr = listener.Addr().String()
	n.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			n.t.Error(err)
		}
	})
	if n.conn, err = grpc.NewClient(n.addr, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { n.conn.Close() })
}

func (n *node) setClock(at time.Time) { n.clock.Store(&at) }

func (n *node) breakLedger(before func(operation string) error) { n.door.before.Store(&before) }

func (n *node) breakJournal(before func(operation string) error) { n.journal.before.Store(&before) }

// as is a context in which a client asks.
func (n *node) as(client string) context.Context {
	n.t.Helper()
	key, ok := n.keys[client]
	if !ok {
		n.t.Fatalf("no client %q", client)
	}
	return withKey(n.t.Context(), key)
}

func withKey(ctx context.Context, key string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
}

func (n *node) apply(m *belpoortv1.Catalogue) uint64 {
	n.t.Helper()
	answer, err := belpoortv1.NewCatalogueServiceClient(n.conn).ApplyCatalogue(n.as("ops-all"), &belpoortv1.ApplyCatalogueRequest{Catalogue: m})
	if err != nil {
		n.t.Fatal(err)
	}
	return answer.GetPosition()
}

// testCatalogue has two organisations with a campaign and a caller ID each. Many attempts are allowed.
func testCatalogue() *belpoortv1.Catalogue {
	patient, err := structpb.NewStruct(map[string]any{"max_attempts": map[string]any{"per_day": 1000, "per_campaign": 1000}})
	if err != nil {
		panic(err)
	}
	m := &belpoortv1.Catalogue{}
	for i, id := range []string{"acme", "globex"} {
		m.Organisations = append(m.Organisations, &belpoortv1.Organisation{
			Id: id, LegalName: id + " B.V.", Class: belpoortv1.OrganisationClass_ORGANISATION_CLASS_COMMERCIAL,
		})
		m.CallerIds = append(m.CallerIds, &belpoortv1.CallerId{
			Number: fmt.Sprintf("+3120123456%d", 7+i), Organisation: id, PublishedUrl: "https://" + id + ".example/",
			CallbackTestTime: moment("2026-11-01T10:00:00+01:00"),
		})
		m.Campaigns = append(m.Campaigns, &belpoortv1.Campaign{
			Id: id + "-x", Organisation: id, Purpose: belpoortv1.Purpose_PURPOSE_COMMERCIAL, Product: "power",
			Mode: belpoortv1.Mode_MODE_HUMAN, Dialing: belpoortv1.Dialing_DIALING_PREDICTIVE,
			Policy: patient,
		})
	}
	return m
}

func consentOf(id, organisation string) *belpoortv1.Fact {
	fact := knownConsent()
	c := fact.GetConsent()
	c.ConsentId, c.Organisations, c.Products = id, []string{organisation}, []string{"power"}
	return fact
}

func (n *node) record(callee string, fact *belpoortv1.Fact, requestID string) *belpoortv1.RecordFactResponse {
	n.t.Helper()
	answer, err := belpoortv1.NewRegisterServiceClient(n.conn).RecordFact(n.as("register-all"),
		&belpoortv1.RecordFactRequest{Callee: callee, Fact: fact, RequestId: requestID})
	if err != nil {
		n.t.Fatal(err)
	}
	return answer
}

func checkOf(callee string) *belpoortv1.CheckCallRequest {
	return &belpoortv1.CheckCallRequest{Callee: callee, Campaign: "acme-x", CallerId: "020-1234567", Person: "P"}
}

func (n *node) check(client string, req *belpoortv1.CheckCallRequest) (*belpoortv1.CheckCallResponse, error) {
	return belpoortv1.NewGatekeeperServiceClient(n.conn).CheckCall(n.as(client), req)
}

func (n *node) mustCheck(callee string) *belpoortv1.CheckCallResponse {
	n.t.Helper()
	answer, err := n.check("dialer-acme", checkOf(callee))
	if err != nil {
		n.t.Fatal(err)
	}
	return answer
}

func (n *node) wants(answer *belpoortv1.CheckCallResponse, verdict eligibility.Verdict, reason eligibility.Reason) {
	n.t.Helper()
	if answer.GetVerdict() != belpoortv1.Verdict(verdict) || answer.GetReason() != belpoortv1.Reason(reason) {
		n.t.Errorf("want %v %v, got %v %v", verdict, reason, answer.GetVerdict(), answer.GetReason())
	}
}

func objectionOf(callee, requestID string) *belpoortv1.RegisterObjectionRequest {
	return &belpoortv1.RegisterObjectionRequest{Callee: callee, Campaign: "acme-x", Via: belpoortv1.Via_VIA_IVR, RequestId: requestID}
}

func (n *node) object(client string, req *belpoortv1.RegisterObjectionRequest) (*belpoortv1.RegisterObjectionResponse, error) {
	return belpoortv1.NewObjectionServiceClient(n.conn).RegisterObjection(n.as(client), req)
}

// wantError wants an error with a code, a reason and, unless it is "", a field.
func wantError(t testing.TB, what string, err error, code codes.Code, reason, field string) {
	t.Helper()
	gotReason, gotField := ReasonOf(err)
	if status.Code(err) != code || gotReason != reason || gotField != field {
		t.Errorf("%s: want %v %s %q, got %v %s %q: %v", what, code, reason, field, status.Code(err), gotReason, gotField, err)
	}
}

func stampAt(at time.Time) *timestamppb.Timestamp { return timestamppb.New(at) }

// metric is the value of one line of /metrics; 0 where there is none.
func (n *node) metric(line string) float64 {
	n.t.Helper()
	w := httptest.NewRecorder()
	n.metrics.Handler(ops.Pages{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for text := range strings.Lines(w.Body.String()) {
		if rest, ok := strings.CutPrefix(text, line+" "); ok {
			var value float64
			if _, err := fmt.Sscan(rest, &value); err != nil {
				n.t.Fatal(err)
			}
			return value
		}
	}
	return 0
}

// waitForMisses waits until so many look-ups have missed the cache.
func (n *node) waitForMisses(count float64) {
	n.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); n.metric(`belpoort_cache_lookups_total{result="miss"}`) < count; {
		if time.Now().After(deadline) {
			n.t.Fatal("the check never came to the ledger")
		}
		time.Sleep(time.Millisecond)
	}
}
