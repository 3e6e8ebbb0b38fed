package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Every metric and label that the board and the alerts ask for is one that a node shows.
func TestBoardAndAlertsAskForWhatIsShown(t *testing.T) {
	c := startCluster(t, 1)
	n := c.nodes[0]
	n.consents(0, 2)
	for _, callee := range []string{subject(0), subject(0), subject(100_000)} {
		if _, err := n.ask(t.Context(), callee); err != nil {
			t.Fatal(err)
		}
	}
	if answer, err := n.object(t.Context(), subject(1), "o"); err != nil || answer.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
		t.Fatalf("%v, %v", answer, err)
	}
	_, exposition := get(n.ops, "/metrics")
	drilled := filepath.Join(t.TempDir(), "drill.prom")
	drill := drillOutcome{Began: time.Now(), Paths: []drilledPath{{Door: "grpc", Node: n.grpc, Answered: 1, Refused: 2}}}
	if err := drill.writeMetrics(drilled); err != nil {
		t.Fatal(err)
	}
	drillMetrics, err := os.ReadFile(drilled)
	if err != nil {
		t.Fatal(err)
	}
	exposition += string(drillMetrics)
	shown := map[string]string{} // every sample's labels by metric
	for line := range strings.Lines(exposition) {
		if found := regexp.MustCompile(`^(\w+)(\{[^}]*\})? `).FindStringSubmatch(line); found != nil {
			shown[found[1]] += found[2]
		}
	}
	// No file was changed, no campaign suspended, no offer owed and no wrong digit pressed, so that these have no samples yet.
	shown["belpoort_file_reloads_total"] = `{file="law",result="failed"}`
	shown["belpoort_campaign_suspended"] = `{campaign="c",cause="d"}`
	shown["belpoort_offer_debts"] = `{campaign="c",state="overdue"}`
	shown["belpoort_certificate_expiry_timestamp_seconds"] = "" // only with TLS; see TestProbesNeedNoCertificate
	shown["belpoort_ivr_unknown_digits_total"] = `{menu="m"}`
	asked := 0
	for _, file := range []string{"prometheus/belpoort.rules.yml", "grafana/belpoort.json"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.ReplaceAll(string(text), `\"`, `"`)
		for _, found := range regexp.MustCompile(`\b(belpoort_[a-z_]+|process_[a-z_]+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(plain, -1) {
			asked++
			labels, is := shown[found[1]]
			if !is {
				t.Errorf("%s asks for %s, which no node shows", file, found[1])
			}
			for _, matcher := range regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)"`).FindAllStringSubmatch(found[2], -1) {
				if name := matcher[1]; name != "instance" && name != "job" && !strings.Contains(labels, name+`="`) {
					t.Errorf("%s asks %s for the label %s, which it does not have", file, found[1], name)
				}
			}
			if le := regexp.MustCompile(`le="([^"]+)"`).FindString(found[2]); le != "" && !strings.Contains(labels, le) {
				t.Errorf("%s asks %s for the bucket %s, which it does not have", file, found[1], le)
			}
		}
	}
	if asked < 40 {
		t.Errorf("%d metrics asked for", asked)
	}
}
