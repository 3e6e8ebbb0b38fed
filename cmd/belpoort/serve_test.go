package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func get(address, path string) (int, string) {
	response, err := http.Get("http://" + address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// dial connects to a process as a dialer's own client would.
func (p *process) dial() *grpc.ClientConn {
	p.t.Helper()
	key, err := os.ReadFile(folder(p.data).operatorKey())
	if err != nil {
		p.t.Fatal(err)
	}
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(bearer(strings.TrimSpace(string(key)))))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	return conn
}

func TestFromEmptyFolderToDecisions(t *testing.T) {
	p := stocked(t)
	code, answer := p.check(allowedNumber)
	if code != exitOK || answer["verdict"] != "VERDICT_ALLOW" || answer["reason"] != "REASON_OK_CONSENT" ||
		answer["basis"].(map[string]any)["article"] != "NL-TW-11.7-2" || answer["caller_id"] != "+31201234567" {
		t.Fatalf("exit %d: %v", code, answer)
	}
	if code, answer = p.check("06-87654321"); code != exitDeny || answer["reason"] != "REASON_NO_BASIS" {
		t.Fatalf("exit %d: %v", code, answer)
	}
	if code, answer = p.check("112"); code != exitDeny || answer["reason"] != "REASON_CALLEE_INVALID" {
		t.Fatalf("exit %d: %v", code, answer)
	}
	out := p.must("object", allowedNumber, "--campaign", "volt", "--via", "IVR")
	if !strings.Contains(out, "objection in force") || !strings.Contains(out, "receipt") {
		t.Fatalf("got %s", out)
	}
	if code, answer = p.check(allowedNumber); code != exitDeny || answer["reason"] != "REASON_OBJECTED" {
		t.Fatalf("exit %d: %v", code, answer)
	}
	decision := answer["decision_id"].(string)
	p.stop()

	again := serveIn(t, p.data)
	if code, answer = again.check(allowedNumber); code != exitDeny || answer["reason"] != "REASON_OBJECTED" {
		t.Fatalf("after a restart: exit %d: %v", code, answer)
	}
	kept, err := belpoortv1.NewAuditServiceClient(again.dial()).GetDecision(t.Context(), &belpoortv1.GetDecisionRequest{DecisionId: decision})
	if err != nil || kept.GetDecision().GetReason() != belpoortv1.Reason_REASON_OBJECTED {
		t.Fatalf("the decision of before the restart: %v, %v", kept, err)
	}
	out = again.must("explain", allowedNumber, "--campaign", "volt", "--caller-id", shownNumber)
	for _, want := range []string{"DENY  OBJECTED", "FAILED   objection  OBJECTED", "passed   basis.consent  OK_CONSENT", "source: NL-TW-11.7-2; Energiewet", "regime    NL-2026-07-01"} {
		if !strings.Contains(out, want) {
			t.Errorf("explain lacks %q:\n%s", want, out)
		}
	}
	out = again.must("explain", allowedNumber, "--campaign", "volt", "--caller-id", shownNumber, "--lang", "nl")
	for _, want := range []string{"DENY  OBJECTED", "FOUT     objection", "in orde  basis.consent", "bron: NL-TW-11.7-2", "verzet op "} {
		if !strings.Contains(out, want) {
			t.Errorf("the Dutch explanation lacks %q:\n%s", want, out)
		}
	}
}

func TestImportTwiceChangesNothing(t *testing.T) {
	p := stocked(t)
	file := write(t, t.TempDir(), "consents.csv", consentsFile("06-11111111", "06-22222222", "3,16E+10"))
	code, out := p.cli("import", "consents", file)
	if code != exitFailed || !strings.Contains(out, "3 rows: 2 recorded, 0 unchanged, 1 rejected") {
		t.Fatalf("exit %d: %s", code, out)
	}
	rejects, err := os.ReadFile(strings.TrimSuffix(file, ".csv") + ".rejects.csv")
	if err != nil || !strings.Contains(string(rejects), "4") || strings.Contains(string(rejects), "06-1111") {
		t.Fatalf("rejects %q, %v", rejects, err)
	}
	before := ledgerPosition(t, p)
	if code, out = p.cli("import", "consents", file); code != exitFailed || !strings.Contains(out, "3 rows: 0 recorded, 2 unchanged, 1 rejected") {
		t.Fatalf("exit %d: %s", code, out)
	}
	if after := ledgerPosition(t, p); after != before {
		t.Fatalf("the ledger went from %s to %s", before, after)
	}
}

func ledgerPosition(t testing.TB, p *process) string {
	t.Helper()
	_, answer := p.check(allowedNumber)
	return answer["ledger_position"].(string)
}

// G3: kill -9 in a loop of objections; every acknowledged one is in force afterwards, and known by its receipt.
func TestKillNineLosesNoObjection(t *testing.T) {
	p := stocked(t)
	acknowledged := map[string]string{} // request id to receipt
	rounds := 3
	for round := range rounds {
		var mu sync.Mutex
		var group sync.WaitGroup
		client := belpoortv1.NewObjectionServiceClient(p.dial())
		for worker := range 8 {
			group.Go(func() {
				for i := range 10_000 {
					id := fmt.Sprintf("r%d-w%d-%d", round, worker, i)
					answer, err := client.RegisterObjection(contextWithTimeout(t, 10*time.Second), &belpoortv1.RegisterObjectionRequest{
						Callee: fmt.Sprintf("06-1%d%d%05d", round, worker, i), Organisation: "voltwerk", Via: belpoortv1.Via_VIA_IVR, RequestId: id,
					})
					if err != nil {
						return
					}
					mu.Lock()
					acknowledged[id] = answer.GetReceipt()
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(100+rand.IntN(300)) * time.Millisecond)
		p.kill()
		group.Wait()
		p = serveIn(t, p.data)
	}
	if len(acknowledged) == 0 {
		t.Fatal("no objection was acknowledged before the kills")
	}
	client := belpoortv1.NewObjectionServiceClient(p.dial())
	for id, receipt := range acknowledged {
		kept, err := client.GetObjection(t.Context(), &belpoortv1.GetObjectionRequest{Receipt: receipt})
		if err != nil || kept.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
			t.Fatalf("objection %s: %v, %v", id, kept, err)
		}
	}
	t.Logf("%d objections acknowledged over %d kills", len(acknowledged), rounds)
}

// G3, G5: every ALLOW that was answered before a kill -9 is in the ledger after it, once.
func TestKillNineLosesNoDecision(t *testing.T) {
	p := stocked(t)
	var mu sync.Mutex
	answered := map[string]bool{}
	client := belpoortv1.NewGatekeeperServiceClient(p.dial())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				answer, err := client.CheckCall(contextWithTimeout(t, 10*time.Second), &belpoortv1.CheckCallRequest{
					Callee: allowedNumber, Campaign: "volt", CallerId: shownNumber,
				})
				if err != nil {
					return
				}
				if answer.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
					t.Errorf("got %v", answer)
					return
				}
				mu.Lock()
				answered[answer.GetDecisionId()] = true
				mu.Unlock()
			}
		})
	}
	time.Sleep(400 * time.Millisecond)
	p.kill()
	group.Wait()
	p = serveIn(t, p.data)
	audit := belpoortv1.NewAuditServiceClient(p.dial())
	for id := range answered {
		if _, err := audit.GetDecision(contextWithTimeout(t, 20*time.Second), &belpoortv1.GetDecisionRequest{DecisionId: id}); err != nil {
			t.Fatalf("decision %s of %d: %v", id, len(answered), err)
		}
	}
	if len(answered) == 0 {
		t.Fatal("nothing was allowed before the kill")
	}
	t.Logf("%d decisions kept", len(answered))
}

// G6: no number anywhere but in the sealed column: not in the logs, the traces, the metrics, the files of the data folder. The
// mutant mutant_number_in_trace must fail here.
func TestNoNumberLeaksIntoFilesLogsOrMetrics(t *testing.T) {
	files, traces := t.TempDir(), startReceiver(t)
	decisions, service := filepath.Join(files, "decisions.log"), filepath.Join(files, "service.log")
	p := serveIn(t, filepath.Join(t.TempDir(), "data"), "--log-level", "debug", "--otlp", "http://"+traces.address, "--trace-ratio", "1",
		"--log", service, "--decision-log", decisions)
	p.must("apply", write(t, files, "catalogue.yaml", testCatalogue()))
	numbers := []string{"06-18273645", "06-41827364", "010-7162534"}
	p.must("import", "consents", write(t, files, "consents.csv", consentsFile(numbers...)))
	for _, n := range numbers {
		p.check(n)
		p.must("object", n, "--organisation", "voltwerk", "--via", "WEB")
		p.check(n)
		p.cli("check", n+"9999999999999999999999999999999999999", "--campaign", "volt", "--caller-id", n)
		p.cli("check", n, "--campaign", "none", "--caller-id", n)
		p.cli("check", n, "--campaign", "volt", "--caller-id", n)
	}
	_, metrics := get(p.ops, "/metrics")
	_, exemplars := p.scrape("application/openmetrics-text;version=1.0.0")
	p.stop()
	places := map[string][]byte{
		"error stream": []byte(p.log.String()), "metrics": []byte(metrics), "exemplars": []byte(exemplars), "traces": traces.payload.Bytes(),
	}
	for _, file := range []string{service, decisions} {
		places[file], _ = os.ReadFile(file)
	}
	_ = filepath.WalkDir(p.data, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			places[path], _ = os.ReadFile(path)
		}
		return nil
	})
	for place, content := range places {
		for _, marker := range []string{"618273645", "06-18273645", "641827364", "06-41827364", "107162534", "010-7162534"} {
			if bytes.Contains(content, []byte(marker)) {
				t.Errorf("%s holds a number", place)
			}
		}
	}
	if traces.seen() < 50 || bytes.Count(places[decisions], []byte("\n")) < 9 || !bytes.Contains(places[service], []byte("callee_token")) {
		t.Fatalf("%d spans, a decision log of %d bytes, a log of %d", traces.seen(), len(places[decisions]), len(places[service]))
	}
	if len(places) < 10 || !strings.Contains(metrics, `belpoort_checks_total{door="grpc",verdict="`) {
		t.Fatalf("looked at %d places only\n%s", len(places), metrics)
	}
}

func TestHealthAndMetrics(t *testing.T) {
	p := stocked(t)
	p.check(allowedNumber)
	p.check("06-87654321")
	for path, want := range map[string]string{"/livez": "ok", "/readyz": "ok", "/metrics": "belpoort_journal_lag_records"} {
		if status, body := get(p.ops, path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}
