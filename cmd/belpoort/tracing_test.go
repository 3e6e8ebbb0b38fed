package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// receiver is what a user would have behind --otlp: an OTLP collector. While it hangs it takes requests and answers none.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	address string
	hangs   atomic.Bool

	mu        sync.Mutex
	payload   bytes.Buffer
	spans     []*tracepb.Span
	resource  []*common.KeyValue
	passwords []string // of the requests
}

func startReceiver(t testing.TB, options ...grpc.ServerOption) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{address: l.Addr().String()}
	s := grpc.NewServer(options...)
	collector.RegisterTraceServiceServer(s, r)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return r
}

func (r *receiver) Export(ctx context.Context, m *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	if r.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	raw, err := proto.Marshal(m)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.payload.Write(raw)
	r.passwords = metadata.ValueFromIncomingContext(ctx, "x-tenant")
	for _, of := range m.GetResourceSpans() {
		r.resource = of.GetResource().GetAttributes()
		for _, scope := range of.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, err
}

// trace gives the spans of one trace by name, with how often each name stands in it.
func (r *receiver) trace(id string) (byName map[string]*tracepb.Span, counts map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	byName, counts = map[string]*tracepb.Span{}, map[string]int{}
	for _, s := range r.spans {
		if hex.EncodeToString(s.GetTraceId()) == id {
			byName[s.GetName()] = s
			counts[s.GetName()]++
		}
	}
	return byName, counts
}

func (r *receiver) seen() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.spans)
}

func attributeOf(s *tracepb.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

const (
	checkSpan   = "belpoort.v1.GatekeeperService/CheckCall"
	pipedSpan   = "belpoort.v1.GatekeeperService/CheckCalls"
	objectSpan  = "belpoort.v1.ObjectionService/RegisterObjection"
	askerSpanID = "00f067aa0ba902b7"
)

// traceID is the id of the test's trace of a number.
func traceID(i int) string { return fmt.Sprintf("4bf92f3577b34da6a3ce929d0e0e%04d", i) }

// parent is the header of a client who wants a trace, or does not.
func parent(i int, sampled bool) string {
	flags := "00"
	if sampled {
		flags = "01"
	}
	return "00-" + traceID(i) + "-" + askerSpanID + "-" + flags
}

// G6, T24: the traces of a process, as a collector gets them: of the requests whose dialer asks for one, a span for the
// request, under the dialer's own, and one for each part. The exemplars of the latency lead to them.
func TestADialersTraceGoesOn(t *testing.T) {
	r := startReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=calls")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	p := serveIn(t, filepath.Join(t.TempDir(), "data"), "--otlp", "http://"+r.address, "--trace-ratio", "0", "--node-name", "gate7")
	p.stock()
	conn := p.dial()
	gatekeeper, objections := belpoortv1.NewGatekeeperServiceClient(conn), belpoortv1.NewObjectionServiceClient(conn)
	as := func(header string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "traceparent", header)
	}
	allowed := &belpoortv1.CheckCallRequest{Callee: allowedNumber, Campaign: "volt", CallerId: shownNumber, Person: "J. Jansen"}
	answer, err := gatekeeper.CheckCall(as(parent(1, true)), allowed)
	if err != nil || answer.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
		t.Fatalf("%v, %v", answer, err)
	}
	for i, header := range map[int]string{2: parent(2, false), 3: "", 4: "00-4bf9-1-01", 5: strings.Repeat("9", 500)} {
		if _, err := gatekeeper.CheckCall(as(header), allowed); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if _, err := gatekeeper.CheckCall(as(parent(6, true)), &belpoortv1.CheckCallRequest{Callee: allowedNumber, Campaign: allowedNumber, CallerId: shownNumber}); err == nil {
		t.Fatal("a campaign that is none was taken")
	}
	p.askTwice(t, parent(7, true), parent(8, true))
	stream, err := gatekeeper.CheckCalls(as(parent(9, true)))
	if err != nil {
		t.Fatal(err)
	}
	allowed.RequestId = "piped"
	if err := stream.Send(&belpoortv1.CheckCallsRequest{Check: allowed}); err != nil {
		t.Fatal(err)
	}
	if piped, err := stream.Recv(); err != nil || piped.GetFailure() != nil {
		t.Fatalf("%v, %v", piped, err)
	}
	if _, err := objections.RegisterObjection(as(parent(10, true)), &belpoortv1.RegisterObjectionRequest{
		Callee: allowedNumber, Campaign: "volt", Via: belpoortv1.Via_VIA_IVR, RequestId: "o",
	}); err != nil {
		t.Fatal(err)
	}
	exemplars := p.exemplars()
	p.stop()

	check := func(i int, root string, want map[string]int) *tracepb.Span {
		t.Helper()
		spans, counts := r.trace(traceID(i))
		want = maps.Clone(want)
		want[root] = 1
		for name, count := range want {
			if counts[name] != count {
				t.Errorf("trace %d has %d spans %q, want %d", i, counts[name], name, count)
			}
		}
		if len(counts) != len(want) {
			t.Errorf("trace %d: %v", i, counts)
		}
		of := spans[root]
		if hex.EncodeToString(of.GetParentSpanId()) != askerSpanID || of.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
			t.Errorf("trace %d: the request's span is not under its dialer's: %v", i, of)
		}
		for name, s := range spans {
			if name != root && (!bytes.Equal(s.GetParentSpanId(), of.GetSpanId()) || s.GetStartTimeUnixNano() < of.GetStartTimeUnixNano() ||
				s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano()) {
				t.Errorf("trace %d: the span %s is no part of the request: %v", i, name, s)
			}
		}
		return of
	}
	miss := map[string]int{"validate": 1, "cache": 1, "ledger": 1, "decide": 1, "permit": 1, "journal": 1, "fence": 2}
	of := check(1, checkSpan, miss)
	for key, want := range map[string]string{
		"rpc.method": checkSpan, "rpc.response.status_code": "OK", "belpoort.verdict": "ALLOW", "belpoort.reason": "OK_CONSENT", "belpoort.door": "grpc",
		"belpoort.campaign": "volt", "belpoort.organisation": "voltwerk", "belpoort.client": "operator", "belpoort.decision_id": answer.GetDecisionId(),
		"belpoort.law_version": answer.GetLawVersion(),
	} {
		if got := attributeOf(of, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if len(attributeOf(of, "belpoort.callee_token")) != 32 {
		t.Errorf("the callee's token is %q", attributeOf(of, "belpoort.callee_token"))
	}
	refused := check(6, checkSpan, map[string]int{"validate": 1})
	if refused.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR || refused.GetStatus().GetMessage() != "CAMPAIGN_UNKNOWN" {
		t.Errorf("the status of an error: %v", refused.GetStatus())
	}
	hit := map[string]int{"validate": 1, "cache": 1, "decide": 1, "permit": 1, "journal": 1, "fence": 2}
	if door := attributeOf(check(7, checkSpan, hit), "belpoort.door"); door != "plain" {
		t.Errorf("the plain check came through %q", door)
	}
	if door := attributeOf(check(8, checkSpan, hit), "belpoort.door"); door != "json" {
		t.Errorf("the check as JSON came through %q", door)
	}
	check(9, pipedSpan, hit)
	check(10, objectSpan, map[string]int{"append": 1, "settle": 1})
	if total := 9 + 2 + 3*8 + 3; r.seen() != total {
		t.Errorf("%d spans, want %d: a request was traced whose dialer had not asked", r.seen(), total)
	}
	for _, id := range []string{traceID(1), traceID(7)} {
		if !slices.Contains(exemplars, id) {
			t.Errorf("no exemplar leads to trace %s: %v", id, exemplars)
		}
	}
	for _, id := range exemplars {
		if spans, _ := r.trace(id); len(spans) == 0 {
			t.Errorf("an exemplar leads to trace %s, which was not exported", id)
		}
	}
	r.mustNotHold(t, "12345678", "1234567", "Jansen", "99999999")
	described := fmt.Sprint(r.resource)
	for _, want := range []string{"gate7", "service.name", "belpoort", "deployment.environment.name"} {
		if !strings.Contains(described, want) {
			t.Errorf("the resource lacks %s: %s", want, described)
		}
	}
	if len(r.passwords) != 1 || r.passwords[0] != "calls" {
		t.Errorf("the headers of OTEL_EXPORTER_OTLP_HEADERS: %v", r.passwords)
	}
}

// askTwice asks for the allowed number over HTTP, as a form and as JSON.
func (p *process) askTwice(t *testing.T, plain, twin string) {
	t.Helper()
	for _, q := range []struct{ path, kind, body, header string }{
		{"/v1/check/plain", "application/x-www-form-urlencoded", url.Values{"callee": {allowedNumber}, "campaign": {"volt"}, "caller_id": {shownNumber}}.Encode(), plain},
		{"/v1/check", "application/json", `{"callee": "` + allowedNumber + `", "campaign": "volt", "caller_id": "` + shownNumber + `"}`, twin},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.http+q.path, strings.NewReader(q.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Api-Key", p.operatorKey())
		request.Header.Set("Content-Type", q.kind)
		request.Header.Set("Traceparent", q.header)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Fatalf("%s: %s", q.path, answer.Status)
		}
	}
}

// exemplars are the traces that the latency of checks leads to, as OpenMetrics shows them.
func (p *process) exemplars() (ids []string) {
	p.t.Helper()
	_, body := p.scrape("application/openmetrics-text;version=1.0.0")
	for _, found := range regexp.MustCompile(`(?m)^belpoort_check_duration_seconds_bucket\{.*# \{trace_id="([0-9a-f]{32})"\} `).FindAllStringSubmatch(body, -1) {
		ids = append(ids, found[1])
	}
	return ids
}

func (r *receiver) mustNotHold(t *testing.T, marks ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, mark := range marks {
		if at := bytes.Index(r.payload.Bytes(), []byte(mark)); at >= 0 {
			t.Errorf("the traces hold %q: %q", mark, r.payload.Bytes()[max(0, at-40):min(r.payload.Len(), at+40)])
		}
	}
}

// A collector that takes requests and never answers, and one that is not there, delay no check: what does not fit is dropped
// and counted, the log says so once, and the service stops as ever.
func TestADeafCollectorDelaysNoCheck(t *testing.T) {
	r := startReceiver(t)
	r.hangs.Store(true)
	p := serveIn(t, filepath.Join(t.TempDir(), "data"), "--otlp", "http://"+r.address, "--trace-ratio", "1")
	p.stock()
	const callers, each = 16, 120 // at 8 spans each, more than wait at most
	client := belpoortv1.NewGatekeeperServiceClient(p.dial())
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				answer, err := client.CheckCall(contextWithTimeout(t, 5*time.Second), &belpoortv1.CheckCallRequest{
					Callee: allowedNumber, Campaign: "volt", CallerId: shownNumber,
				})
				if err != nil || answer.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
					t.Errorf("%v, %v", answer, err)
					return
				}
			}
		})
	}
	all.Wait()
	if dropped := p.sample(`belpoort_trace_spans_total{result="dropped"}`); dropped == 0 {
		t.Error("no span was dropped: the queue has no end, or the test asks too little")
	}
	for deadline := time.Now().Add(30 * time.Second); p.sample(`belpoort_trace_spans_total{result="failed"}`) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no failed export is counted\n%s", p.log)
		}
	}
	p.stop()
	if n := strings.Count(p.log.String(), "traces are not taken"); n != 1 {
		t.Errorf("the log tells of it %d times\n%s", n, p.log)
	}
	if strings.Contains(p.log.String(), "12345678") {
		t.Error("the log holds the number")
	}

	absent := serveIn(t, p.data, "--otlp", "http://"+freeAddress(t), "--trace-ratio", "1")
	if code, answer := absent.check(allowedNumber); code != exitOK {
		t.Errorf("exit %d: %v", code, answer)
	}
	absent.stop()
}

// With https:// a collector must show a certificate of an authority that the standard variable names.
func TestTracesOverTLS(t *testing.T) {
	ours, another := newAuthority(t), newAuthority(t)
	ours.issue("collector")
	certificate, err := credentials.NewServerTLSFromFile(ours.file("collector.crt"), ours.file("collector.key"))
	if err != nil {
		t.Fatal(err)
	}
	r := startReceiver(t, grpc.Creds(certificate))
	data := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		authority string
		taken     bool
	}{{another.file("ca.crt"), false}, {ours.file("ca.crt"), true}} {
		t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", c.authority)
		p := serveIn(t, data, "--otlp", "https://"+r.address, "--trace-ratio", "1")
		if code, out := p.cli("decisions"); code != exitOK {
			t.Errorf("exit %d: %s", code, out)
		}
		p.stop()
		if taken := r.seen() > 0; taken != c.taken {
			t.Errorf("with the authority %s: taken %v", c.authority, taken)
		}
	}
}

// Traces that nobody asked for are of the share that was asked for; wrong flags are refused before anything starts.
func TestFlagsOfTraces(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct{ args, want string }{
		{"--trace-ratio 0.5", "--trace-ratio needs --otlp"},
		{"--otlp http://127.0.0.1:1 --trace-ratio 1.5", "--trace-ratio 1.5: want 0 to 1"},
		{"--otlp http://127.0.0.1:1 --trace-ratio NaN", "--trace-ratio NaN: want 0 to 1"},
		{"--otlp 127.0.0.1:4317", "--otlp: want the URL"},
		{"--otlp grpc://127.0.0.1:4317", "--otlp: want the URL"},
		{"--otlp http://127.0.0.1:4317/v1/traces", "--otlp: want the URL"},
		{"--otlp http://user:secret@127.0.0.1:4317", "--otlp: want the URL"},
	} {
		code, out := cli(t, append([]string{"serve", "--data", data, "--grpc", "127.0.0.1:0", "--ops", "127.0.0.1:0"}, strings.Fields(c.args)...)...)
		if code != exitUsage || !strings.Contains(out, c.want) || strings.Contains(out, "secret") {
			t.Errorf("%s: exit %d: %s", c.args, code, out)
		}
	}
	p := stocked(t)
	if _, body := get(p.ops, "/metrics"); strings.Contains(body, "belpoort_trace_spans_total") {
		t.Error("without --otlp spans are counted")
	}
	p.check(allowedNumber)
	if ids := p.exemplars(); len(ids) > 0 {
		t.Errorf("without --otlp there are exemplars: %v", ids)
	}
}
