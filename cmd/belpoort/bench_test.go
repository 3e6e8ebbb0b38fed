package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/bench"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// benchCLI runs a very short bench, whose processes are this test binary, and returns its output and what it said meanwhile.
func benchCLI(t *testing.T, args ...string) (code int, out, said string) {
	t.Helper()
	t.Setenv(beMain, "1")
	t.Setenv("BELPOORT_TLS_CERT", "/nonexistent") // meant for another service than the one that bench starts
	var stdout, stderr bytes.Buffer
	args = append([]string{"bench", "--duration", "60ms", "--rounds", "2", "--callees", "60", "--folder", t.TempDir()}, args...)
	code = run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// checkReport looks whether every contestant was measured under every load, and every answer right.
func checkReport(t *testing.T, text string, loads int, contestants ...string) *bench.Report {
	t.Helper()
	var r bench.Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if len(r.Cells) != loads*len(contestants) {
		t.Fatalf("%d cells, want %d", len(r.Cells), loads*len(contestants))
	}
	baselines, lists := 0, 0
	for i, c := range r.Cells {
		if c.Contestant != contestants[i%len(contestants)] {
			t.Errorf("cell %d is %s", i, c.Contestant)
		}
		if c.Calls == 0 || c.Errors != 0 || c.CallsPerSecond <= 0 || c.Latency.P50 <= 0 || c.Latency.P50 > c.Latency.P99 || c.Latency.P99 > c.Latency.Max {
			t.Errorf("%s, %v: %+v", c.Contestant, c.Load, c)
		}
		if c.CPUPerCall == nil || *c.CPUPerCall <= 0 {
			t.Errorf("%s, %v: no CPU time", c.Contestant, c.Load)
		}
		if c.Baseline {
			baselines++
		}
		if c.Contestant == bench.Screen {
			lists++
			if c.Numbers != 60 || c.NumbersPerSecond != 60*c.CallsPerSecond {
				t.Errorf("%d numbers in a list, %v numbers/s with %v lists/s", c.Numbers, c.NumbersPerSecond, c.CallsPerSecond)
			}
		}
	}
	if perLoad := baselines / loads; len(r.Ratios) != loads*perLoad*(len(contestants)-perLoad-lists/loads) {
		t.Errorf("%d ratios with %d baselines of %d", len(r.Ratios), perLoad, len(contestants))
	}
	if r.Sizes.Request < 40 || r.Sizes.Answer < 100 || r.Sizes.Decision < 100 || r.Sizes.Record < 200 {
		t.Errorf("sizes %+v", r.Sizes)
	}
	return &r
}

func wellFormed(t *testing.T, file string) (polylines int) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(bytes.NewReader(content))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return polylines
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "polyline" {
			polylines++
		}
	}
}

func TestBenchStartsAServiceAndMeasuresIt(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "latency.svg")
	code, out, said := benchCLI(t, "--json", "--plot", plot, "--callers", "1,4", "--rate", "200", "--mix", "0.3", "--seed", "7",
		"--contestants", "allow,deny,mixed,echo,echo+fdatasync")
	if code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, said)
	}
	r := checkReport(t, out, 3, bench.Allow, bench.Deny, bench.Mixed, bench.Echo, bench.EchoSync)
	if r.Allowed != 18 || r.Denied != 42 || r.Seed != 7 || r.Rounds != 2 || r.Warm <= 0 {
		t.Errorf("%+v", r)
	}
	if n := wellFormed(t, plot); n != 15 {
		t.Errorf("%d lines in the plot, want 15", n)
	}
	if !strings.Contains(said, "facts about 60 callees recorded") || !strings.Contains(said, "round 2 of 2") {
		t.Errorf("it said %s", said)
	}
}

func TestBenchPrintsATable(t *testing.T) {
	page := filepath.Join(t.TempDir(), "latency.html")
	folder := t.TempDir()
	code, out, said := benchCLI(t, "--plot", page, "--callers", "4", "--rate", "0", "--folder", folder)
	if code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, said)
	}
	for _, want := range []string{"closed loop, 4 callers", "calls/s", "p99.9 ms", "errors", "CPU/call us", "allow : echo+fdatasync", "deny : echo ", "screen : allow", "numbers/s", "cache is warm"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "open loop") || wellFormed(t, page) != 4 {
		t.Errorf("a rate of 0 was measured:\n%s", out)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

func catalogueOf(t *testing.T, p *process) *belpoortv1.Catalogue {
	t.Helper()
	answer, err := belpoortv1.NewCatalogueServiceClient(p.dial()).GetCatalogue(t.Context(), &belpoortv1.GetCatalogueRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetCatalogue()
}

// A running service is measured twice, and its catalogue is afterwards as it was.
func TestBenchMeasuresARunningService(t *testing.T) {
	p := stocked(t)
	before := catalogueOf(t, p)
	running := []string{"--address", p.grpc, "--data", p.data, "--keep-facts", "--callers", "2"}
	code, out, said := benchCLI(t, append(running, "--pid", strconv.Itoa(p.cmd.Process.Pid), "--json", "--rate", "0")...)
	if code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, said)
	}
	if r := checkReport(t, out, 1, bench.Allow, bench.Deny, bench.Screen, bench.Echo, bench.EchoSync); !strings.Contains(r.Service, p.grpc) || len(r.Notes) != 0 {
		t.Errorf("%q, notes %q", r.Service, r.Notes)
	}
	code, out, said = benchCLI(t, append(running, "--seed", "2", "--rate", "0")...)
	if code != exitOK || !strings.Contains(out, "without --pid") {
		t.Fatalf("another seed, and no process: exit %d: %s%s", code, out, said)
	}
	if after := catalogueOf(t, p); !proto.Equal(before, after) {
		t.Errorf("the catalogue was\n%v\nand is\n%v", before, after)
	}
	if code, _ := p.check(allowedNumber); code != exitOK {
		t.Errorf("the allowed number is no longer allowed: exit %d", code)
	}
}

// A service whose answers are not what the facts demand is found out before the run, and its catalogue is restored.
func TestBenchFailsOnAWrongVerdict(t *testing.T) {
	p := stocked(t)
	strict := strings.Replace(testCatalogue(), "policy:\n", "policy:\n  minimum_age: 16\n  required_lists: {ONDERZOEKFILTER: {max_age: 31 days}}\n", 1)
	p.must("apply", write(t, t.TempDir(), "strict.yaml", strict))
	before := catalogueOf(t, p)
	code, _, said := benchCLI(t, "--address", p.grpc, "--data", p.data, "--keep-facts", "--callers", "1", "--rate", "0")
	if code != exitFailed || !strings.Contains(said, "want VERDICT_ALLOW, got VERDICT_DENY") {
		t.Errorf("exit %d: %s", code, said)
	}
	if after := catalogueOf(t, p); !proto.Equal(before, after) {
		t.Errorf("the catalogue is %v", after)
	}
}

func TestBenchSaysWhatIsWrong(t *testing.T) {
	key := write(t, t.TempDir(), "key", "bpk_none")
	closed := freeAddress(t)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nobody at the address": {[]string{"--address", closed, "--keep-facts", "--key-file", key}, exitUnavailable, "connection refused"},
		"facts are not agreed":  {[]string{"--address", closed, "--key-file", key}, exitUsage, "--keep-facts"},
		"no key":                {[]string{"--address", closed, "--keep-facts", "--key-file", key + "x"}, exitUsage, "--key-file"},
		"pid without address":   {[]string{"--pid", "1"}, exitUsage, "--address"},
		"no such process":       {[]string{"--address", closed, "--keep-facts", "--pid", "4194305"}, exitUsage, "--pid"},
		"mix":                   {[]string{"--mix", "1.5"}, exitUsage, "--mix"},
		"callees":               {[]string{"--callees", "1"}, exitUsage, "--callees"},
		"callers":               {[]string{"--callers", "-1"}, exitUsage, "above 0"},
		"nothing to do":         {[]string{"--callers", "0", "--rate", "0"}, exitUsage, "no load"},
		"connections":           {[]string{"--connections", "0"}, exitUsage, "--connections"},
		"rounds":                {[]string{"--rounds", "0"}, exitUsage, "--rounds"},
		"duration":              {[]string{"--duration", "1us"}, exitUsage, "--duration"},
		"contestant":            {[]string{"--contestants", "allow,echos"}, exitUsage, "echo+fdatasync"},
		"twice":                 {[]string{"--contestants", "allow,allow"}, exitUsage, "twice"},
		"Redis without ledger":  {[]string{"--redis", "redis://" + closed}, exitUsage, "--ledger"},
		"two services":          {[]string{"--ledger", "postgres://" + closed, "--address", closed}, exitUsage, "--address"},
		"no Redis":              {[]string{"--contestants", "echo+get"}, exitUsage, "--redis"},
		"kind of plot":          {[]string{"--plot", "x.png"}, exitUsage, ".svg"},
		"no folder for plot":    {[]string{"--plot", "/nonexistent/x.svg"}, exitUsage, "--plot"},
		"no folder":             {[]string{"--folder", "/nonexistent"}, exitUsage, "--folder"},
		"an argument":           {[]string{"fast"}, exitUsage, "fast"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, said := benchCLI(t, c.args...); code != c.code || !strings.Contains(said, c.says) || out != "" {
				t.Errorf("exit %d: %s%s", code, out, said)
			}
		})
	}
}

// A service that does not start says why, and nothing is left behind.
func TestBenchSaysWhyTheServiceDidNotStart(t *testing.T) {
	folder := t.TempDir()
	code, out, said := benchCLI(t, "--ledger", "nowhere://", "--folder", folder)
	if code != exitFailed || !strings.Contains(said, "the service did not start") || !strings.Contains(said, "ledger") || out != "" {
		t.Errorf("exit %d: %s%s", code, out, said)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

func TestBenchMeasuresTheDoorsOverHTTP(t *testing.T) {
	code, out, said := benchCLI(t, "--json", "--callers", "4", "--rate", "100", "--contestants", "allow,plain,json")
	if code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, said)
	}
	checkReport(t, out, 2, bench.Allow, bench.Plain, bench.JSON)
	if code, out, said := benchCLI(t, "--address", "127.0.0.1:1", "--keep-facts", "--contestants", "plain"); code != exitUsage || !strings.Contains(out+said, "--http-url") {
		t.Errorf("exit %d: %s%s", code, out, said)
	}
}

func TestBenchMeasuresFastAGI(t *testing.T) {
	code, out, said := benchCLI(t, "--json", "--callers", "4", "--rate", "100", "--contestants", "allow,agi")
	if code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, said)
	}
	checkReport(t, out, 2, bench.Allow, bench.AGI)
	if code, out, said := benchCLI(t, "--address", "127.0.0.1:1", "--keep-facts", "--contestants", "agi"); code != exitUsage || !strings.Contains(out+said, "--agi-address") {
		t.Errorf("exit %d: %s%s", code, out, said)
	}
}

// At a running service too, where a door that is shut makes every call an error.
func TestBenchMeasuresTheFastAGIOfARunningService(t *testing.T) {
	p, agi := stockedWithAGI(t)
	running := []string{"--address", p.grpc, "--data", p.data, "--keep-facts", "--pid", strconv.Itoa(p.cmd.Process.Pid), "--callers", "4", "--rate", "0", "--json", "--contestants", "agi"}
	code, out, said := benchCLI(t, append(running, "--agi-address", agi)...)
	if code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, said)
	}
	checkReport(t, out, 1, bench.AGI)
	if code, _, said := benchCLI(t, append(running, "--agi-address", p.grpc)...); code != exitFailed || !strings.Contains(said, "FastAGI") {
		t.Errorf("another door than FastAGI: exit %d: %s", code, said)
	}
}
