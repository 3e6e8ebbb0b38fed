package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/disktest"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// serveAlone runs `belpoort serve` as a process of its own that is expected to end by itself, and gives its exit code and
// what it said.
func serveAlone(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.CommandContext(contextWithTimeout(t, time.Minute), os.Args[0], append([]string{"serve"}, args...)...)
	cmd.Env = append(os.Environ(), beMain+"=1")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// decisionLines reads a decision log.
func decisionLines(t *testing.T, file string) (lines []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var one map[string]any
		if err := json.Unmarshal(line, &one); err != nil || line[len(line)-1] != '\n' {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, one)
	}
	return lines
}

// Every decision that is answered has one line, with the keys that operations.md names, as the ledger has it; a dry run, a
// repeat and an error have none. The service's log has none of them.
func TestTheDecisionLogHasALineForEachDecision(t *testing.T) {
	file := filepath.Join(t.TempDir(), "decisions.log")
	p := serveIn(t, filepath.Join(t.TempDir(), "data"), "--decision-log", file, "--log-level", "debug")
	p.stock()
	client := belpoortv1.NewGatekeeperServiceClient(p.dial())
	ask := func(change func(*belpoortv1.CheckCallRequest)) string {
		req := &belpoortv1.CheckCallRequest{Callee: allowedNumber, Campaign: "volt", CallerId: shownNumber}
		change(req)
		answer, err := client.CheckCall(contextWithTimeout(t, 5*time.Second), req)
		if err != nil {
			return ""
		}
		return answer.GetDecisionId()
	}
	want := []string{
		ask(func(*belpoortv1.CheckCallRequest) {}),
		ask(func(r *belpoortv1.CheckCallRequest) { r.Callee = "112" }),
		ask(func(r *belpoortv1.CheckCallRequest) { r.RequestId = "once" }),
	}
	if again := ask(func(r *belpoortv1.CheckCallRequest) { r.RequestId = "once" }); again != want[2] {
		t.Errorf("a repeat is decision %s, the first was %s", again, want[2])
	}
	ask(func(r *belpoortv1.CheckCallRequest) { r.DryRun = true })
	ask(func(r *belpoortv1.CheckCallRequest) { r.Campaign = "nope" })
	audit := belpoortv1.NewAuditServiceClient(p.dial())
	kept := map[string]*belpoortv1.Decision{}
	for _, id := range want {
		d, err := audit.GetDecision(contextWithTimeout(t, 10*time.Second), &belpoortv1.GetDecisionRequest{DecisionId: id})
		if err != nil {
			t.Fatal(err)
		}
		kept[id] = d.GetDecision()
	}
	p.stop()
	lines := decisionLines(t, file)
	if len(lines) != len(want) {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	for i, line := range lines {
		d := kept[want[i]]
		for key, value := range map[string]any{
			"decision_id": d.GetDecisionId(), "callee_token": d.GetCalleeToken(), "campaign": d.GetCampaign(), "organisation": d.GetOrganisation(),
			"verdict": strings.TrimPrefix(d.GetVerdict().String(), "VERDICT_"), "reason": strings.TrimPrefix(d.GetReason().String(), "REASON_"),
			"law_version": d.GetLawVersion(), "ledger_position": float64(d.GetLedgerPosition()), "door": "grpc", "client": d.GetClient(),
			"time": d.GetDecideTime().AsTime().Format(time.RFC3339Nano),
		} {
			if line[key] != value {
				t.Errorf("line %d: %s is %v, the ledger has %v", i, key, line[key], value)
			}
		}
		if took, _ := line["took_seconds"].(float64); took <= 0 || took > 5 || len(line) != 12 {
			t.Errorf("line %d: %v", i, line)
		}
		if strings.Contains(p.log.String(), want[i]) {
			t.Errorf("the service's log holds decision %d", i)
		}
	}
}

// A decision log whose reader stops reading, and then goes away, holds up and ends nothing.
func TestAReaderOfTheDecisionLogThatGoesAway(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{
		t: t, data: filepath.Join(t.TempDir(), "data"), grpc: freeAddress(t), http: freeAddress(t), ops: freeAddress(t),
		args: []string{"--allow-window", "0", "--decision-log", "-"}, out: writer,
	}
	p.begin()
	writer.Close()
	p.awaitReady()
	p.stock()
	ask := func(times int) {
		client := belpoortv1.NewGatekeeperServiceClient(p.dial())
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range times / 8 {
					if _, err := client.CheckCall(contextWithTimeout(t, 5*time.Second), &belpoortv1.CheckCallRequest{Callee: "112", Campaign: "volt", CallerId: shownNumber}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	ask(800) // more than a pipe holds
	reader.Close()
	ask(80)
	if code, _ := p.check(allowedNumber); code != exitOK {
		t.Errorf("exit %d", code)
	}
	for deadline := time.Now().Add(10 * time.Second); p.sample(`belpoort_log_lines_lost_total{cause="failed",log="decisions"}`) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the lines are not counted")
		}
	}
	p.stop()
	if n := strings.Count(p.log.String(), "the decision log cannot be written"); n != 1 {
		t.Errorf("the log tells of it %d times", n)
	}
}

// A log file is put aside when it is full, while decisions go on.
func TestALogRotatesWhileServing(t *testing.T) {
	dir := t.TempDir()
	p := serveIn(t, filepath.Join(t.TempDir(), "data"), "--decision-log", filepath.Join(dir, "decisions.log"), "--log", filepath.Join(dir, "service.log"),
		"--log-mib", "1", "--log-keep", "3")
	p.stock()
	client := belpoortv1.NewGatekeeperServiceClient(p.dial())
	const callers, each = 16, 250
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				if _, err := client.CheckCall(contextWithTimeout(t, 5*time.Second), &belpoortv1.CheckCallRequest{Callee: "112", Campaign: "volt", CallerId: shownNumber}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	p.stop()
	files, err := filepath.Glob(filepath.Join(dir, "decisions*.log"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	seen := map[any]bool{}
	for _, file := range files {
		for _, line := range decisionLines(t, file) {
			seen[line["decision_id"]] = true
		}
	}
	if len(seen) != callers*each {
		t.Errorf("%d decisions in %d files, want %d", len(seen), len(files), callers*each)
	}
	text, err := os.ReadFile(filepath.Join(dir, "service.log"))
	if err != nil || !bytes.Contains(text, []byte(`"msg":"serving"`)) || !bytes.Contains(text, []byte(`"msg":"stopped"`)) || p.log.String() != "" {
		t.Errorf("%v; the error stream says %q; the log: %s", err, p.log, text)
	}
}

// A log file that cannot be written, a flag that would do nothing and a port in use are refused by name, and nothing starts.
func TestServeRefusesWhatItCannotUse(t *testing.T) {
	data, files := filepath.Join(t.TempDir(), "data"), t.TempDir()
	file := write(t, files, "file", "")
	taken := startReceiver(t).address
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--log", filepath.Join(files, "none", "service.log")}, exitFailed, []string{"--log: ", "none/service.log: no such file"}},
		{[]string{"--log", filepath.Join(file, "service.log")}, exitFailed, []string{"--log: ", "not a directory"}},
		{[]string{"--log", files}, exitFailed, []string{"--log: " + files, "not a regular file"}},
		{[]string{"--decision-log", files}, exitFailed, []string{"--decision-log: " + files, "not a regular file"}},
		{[]string{"--decision-log", "/dev/full"}, exitFailed, []string{"--decision-log: /dev/full"}},
		{[]string{"--log", file, "--decision-log", file}, exitUsage, []string{"--log and --decision-log"}},
		{[]string{"--log-keep", "3"}, exitUsage, []string{"--log-keep needs a file"}},
		{[]string{"--log", file, "--log-mib", "0"}, exitUsage, []string{"--log-mib 0: want 1"}},
		{[]string{"--log", file, "--log-keep", "0"}, exitUsage, []string{"--log-keep 0: want 1"}},
		{[]string{"--log-level", "loud"}, exitUsage, []string{`--log-level "loud"`}},
		{[]string{"--connections", "3"}, exitUsage, []string{"--connections 3: want 16"}},
		{[]string{"--grpc", taken}, exitFailed, []string{"--grpc: ", taken, "address already in use"}},
		{[]string{"--http", taken}, exitFailed, []string{"--http: ", taken, "address already in use"}},
		{[]string{"--ops", taken}, exitFailed, []string{"--ops: ", taken, "address already in use"}},
		{[]string{"--agi", taken}, exitFailed, []string{"--agi: ", taken, "address already in use"}},
	} {
		code, said := serveAlone(t, append([]string{"--data", data, "--grpc", "127.0.0.1:0", "--ops", "127.0.0.1:0"}, c.args...)...)
		if code != c.code || slices.ContainsFunc(c.want, func(want string) bool { return !strings.Contains(said, want) }) || strings.Contains(said, `"serving"`) {
			t.Errorf("%v: exit %d: %s", c.args, code, said)
		}
		if _, err := os.Stat(data); err == nil {
			t.Fatalf("%v made a data folder", c.args)
		}
	}
}

// When the disk of the logs is full the service goes on, counts what it could not write and says so on the error stream; when
// there is room again it writes whole lines.
func TestTheLogsDiskIsFull(t *testing.T) {
	disk, inside := disktest.OwnMounts(t, 1)
	if !inside {
		return
	}
	decisions := filepath.Join(disk, "decisions.log")
	p := serveIn(t, filepath.Join(t.TempDir(), "data"), "--decision-log", decisions, "--log", filepath.Join(disk, "service.log"), "--log-level", "debug")
	p.stock()
	if code, _ := p.check(allowedNumber); code != exitOK {
		t.Fatalf("exit %d", code)
	}
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	for range 40 { // the files' last pages have some room
		if code, answer := p.check(allowedNumber); code != exitOK {
			t.Fatalf("exit %d: %v", code, answer)
		}
	}
	for _, log := range []string{"service", "decisions"} {
		if p.sample(`belpoort_log_lines_lost_total{cause="failed",log="`+log+`"}`) == 0 {
			t.Errorf("the lines that the %s log lost are not counted", log)
		}
	}
	if said := p.log.String(); strings.Count(said, "belpoort: --log: ") != 1 || strings.Count(said, "belpoort: --decision-log: ") != 1 ||
		strings.Count(said, "no space left on device") != 2 {
		t.Errorf("the error stream: %s", said)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	_, answer := p.check(allowedNumber)
	p.stop()
	text, err := os.ReadFile(decisions)
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for line := range bytes.Lines(text) {
		if !json.Valid(line) {
			broken++
		}
	}
	if broken > 1 || !bytes.Contains(text, []byte(answer["decision_id"].(string))) {
		t.Errorf("%d broken lines; the last decision must be there:\n%s", broken, text)
	}
}
