package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// canaryNumber is on which these tests drill, and canaryCatalogue declares it.
const canaryNumber = "+31858889990"

func canaryCatalogue() string {
	return strings.Replace(testCatalogue(), "  product_families", `  canaries:
  - {number: "`+canaryNumber+`", campaign: volt, caller_id: "+31201234567"}
  product_families`, 1)
}

func (n *clusterNode) declareCanary() {
	n.t.Helper()
	n.must("apply", write(n.t, n.t.TempDir(), "canary.yaml", canaryCatalogue()))
}

type drillShown struct {
	OK           bool `json:"ok"`
	LeftObjected bool `json:"left_objected"`
	Paths        []struct {
		Door, Node, Broken string
		Answered           float64 `json:"answered_seconds"`
		Refused            float64 `json:"refused_seconds"`
	}
}

// An objection through any door of three nodes stops calls at all of them, and the canary has objected afterwards.
func TestADrillOnThreeNodes(t *testing.T) {
	c := startCluster(t, 2)
	exchange := freeAddress(t)
	c.startNode("--agi", exchange)
	n := c.nodes[0]
	n.declareCanary()
	metrics := filepath.Join(t.TempDir(), "belpoort.prom")
	nodes := []string{
		"--node", c.nodes[0].grpc, "--node", c.nodes[1].grpc, "--node", c.nodes[2].grpc, "--form", "http://" + c.nodes[1].http, "--agi", exchange,
	}
	code, out := n.cli(append([]string{"drill", "--number", canaryNumber, "--json", "--metrics-file", metrics}, nodes...)...)
	var shown drillShown
	if err := json.Unmarshal([]byte(out), &shown); err != nil || code != exitOK || !shown.OK || !shown.LeftObjected || len(shown.Paths) != 15 {
		t.Fatalf("exit %d, %v\n%s", code, err, out)
	}
	for _, p := range shown.Paths {
		if p.Answered <= 0 || p.Refused <= 0 || p.Broken != "" {
			t.Errorf("%+v", p)
		}
	}
	text, err := os.ReadFile(metrics)
	if err != nil || !strings.Contains(string(text), "belpoort_drill_broken_paths 0\n") ||
		strings.Count(string(text), "belpoort_drill_refused_seconds{") != 15 || strings.Count(string(text), "belpoort_drill_path_ok{") != 15 || strings.Contains(string(text), canaryNumber[3:]) {
		t.Errorf("metrics: %v\n%s", err, text)
	}
	for i, n := range c.nodes {
		if answer, err := n.within(5*time.Second, canaryNumber); err != nil || !isObjected(answer) {
			t.Errorf("node %d after the drill: %v, %v", i+1, answer, err)
		}
	}
	table := n.must(append([]string{"drill", "--number", canaryNumber}, nodes...)...) // again: the objection is lifted lawfully
	if strings.Count(table, "  ok\n") != 15 || strings.Contains(table, canaryNumber[3:]) {
		t.Errorf("as a table:\n%s", table)
	}
	t.Log("\n" + table)
	if code, out := n.cli("drill", "--number", canaryNumber, "--node", n.grpc, "--node", freeAddress(t), "--within", "1s"); code != exitFailed || !strings.Contains(out, "BROKEN") {
		t.Errorf("a node that is not there: exit %d\n%s", code, out)
	}
	if code, out := n.cli("drill", "--number", canaryNumber, "--node", n.grpc, "--form", "http://"+freeAddress(t)); code != exitFailed || strings.Count(out, "BROKEN: no objection: ") != 1 {
		t.Errorf("a form that is not there: exit %d\n%s", code, out)
	}
	if code, out := n.cli("drill", "--number", canaryNumber, "--node", n.grpc, "--agi", freeAddress(t)); code != exitFailed || strings.Count(out, "BROKEN: no objection: ") != 1 {
		t.Errorf("an exchange's door that is not there: exit %d\n%s", code, out)
	}
	if answer, err := n.within(5*time.Second, canaryNumber); err != nil || !isObjected(answer) {
		t.Errorf("after a drill that failed: %v, %v", answer, err)
	}
}

// A node that does not share the ledger goes on allowing calls: that path is broken, and the exit code says so.
// The mutant mutant_drill_forgives must fail here.
func TestADrillFindsANodeThatDoesNotHeed(t *testing.T) {
	var nodes []*clusterNode
	for range 2 {
		n := &clusterNode{process: serveIn(t, filepath.Join(t.TempDir(), "data"))}
		if len(nodes) > 0 {
			n.stop()
			if err := os.RemoveAll(n.data); err != nil {
				t.Fatal(err)
			}
			if err := copyPrivately(filepath.Join(nodes[0].data, "keys"), filepath.Join(n.data, "keys")); err != nil {
				t.Fatal(err)
			}
			n.begin()
			n.awaitReady()
		}
		n.dial()
		n.declareCanary()
		nodes = append(nodes, n)
	}
	if _, err := nodes[1].consent(t.Context(), canaryNumber, "standing"); err != nil {
		t.Fatal(err)
	}
	code, out := nodes[0].cli("drill", "--number", canaryNumber, "--node", nodes[0].grpc, "--node", nodes[1].grpc, "--within", "1s")
	if code != exitFailed || !strings.Contains(out, "BROKEN: ALLOW after the objection was answered in force") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// Nothing is written about a number that is no canary, or that anybody but a drill has recorded something about.
// The mutant mutant_drill_anybody must fail here.
func TestOnlyCanariesAreDrilled(t *testing.T) {
	n := &clusterNode{process: serveIn(t, filepath.Join(t.TempDir(), "data"))}
	n.dial()
	n.declareCanary()
	if _, err := n.consent(t.Context(), canaryNumber, "a person's"); err != nil {
		t.Fatal(err)
	}
	for number, why := range map[string]string{
		subject(1): "none of the catalogue's canaries", canaryNumber: "no drill wrote", "12": "--number", "": "--number",
	} {
		code, out := n.cli("drill", "--number", number)
		if code != exitUsage || !strings.Contains(out, why) || strings.Contains(out, canaryNumber[3:]) {
			t.Errorf("%q: exit %d\n%s", number, code, out)
		}
	}
	for _, number := range []string{subject(1), canaryNumber} {
		held, err := belpoortv1.NewRegisterServiceClient(n.conn).GetCallee(n.as(t.Context()), &belpoortv1.GetCalleeRequest{Callee: number})
		if err != nil || len(held.GetEntries()) > 1 {
			t.Errorf("%v, %v", held, err)
		}
	}
	if code, out := n.cli("drill", "--number", canaryNumber, "--node", "a:1", "--node", "a:1"); code != exitUsage || !strings.Contains(out, "twice") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := n.cli("drill", "--number", canaryNumber, "--form", "gate1:2358"); code != exitUsage || !strings.Contains(out, "--form") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := n.cli("drill", "--number", canaryNumber, "--agi", "gate1"); code != exitUsage || !strings.Contains(out, "--agi") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
