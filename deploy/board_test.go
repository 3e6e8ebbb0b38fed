package deploy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the board anew")

const boardFile = "grafana/belpoort.json"

// panel is one plot of the board: queries by legend, and the unit of Grafana's for them.
type panel struct {
	title, unit string
	width       int // of 24
	queries     [][2]string
}

var boardPanels = []panel{
	{"Latency of a check", "s", 12, [][2]string{
		{"p50", `histogram_quantile(0.5, sum by (le) (rate(belpoort_check_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))`},
		{"p90", `histogram_quantile(0.9, sum by (le) (rate(belpoort_check_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))`},
		{"p99", `histogram_quantile(0.99, sum by (le) (rate(belpoort_check_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))`},
	}},
	{"Parts of a check, p99", "s", 12, [][2]string{
		{"{{stage}}", `histogram_quantile(0.99, sum by (le, stage) (rate(belpoort_check_stage_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))`},
	}},
	{"Calls a second, by verdict", "reqps", 8, [][2]string{
		{"{{verdict}}", `sum by (verdict) (rate(belpoort_checks_total{instance=~"$instance"}[$__rate_interval]))`},
	}},
	{"Calls a second, by door", "reqps", 8, [][2]string{
		{"{{door}}", `sum by (door) (rate(belpoort_checks_total{instance=~"$instance"}[$__rate_interval]))`},
	}},
	{"Errors a second, by code", "reqps", 8, [][2]string{
		{"{{code}}", `sum by (code) (rate(belpoort_requests_total{instance=~"$instance", code!="OK"}[$__rate_interval]))`},
		{"shed", `sum(rate(belpoort_checks_shed_total{instance=~"$instance"}[$__rate_interval]))`},
	}},
	{"Why calls are not allowed", "reqps", 12, [][2]string{
		{"{{reason}}", `topk(10, sum by (reason) (rate(belpoort_check_reasons_total{instance=~"$instance", reason!~"OK.*"}[$__rate_interval])))`},
	}},
	{"Campaigns, calls not allowed", "reqps", 12, [][2]string{
		{"{{campaign}}", `topk(10, sum by (campaign) (rate(belpoort_campaign_checks_total{instance=~"$instance", verdict!="ALLOW"}[$__rate_interval])))`},
	}},
	{"Offers of objection overdue, by campaign", "short", 8, [][2]string{
		{"{{campaign}}", `topk(10, max by (campaign) (belpoort_offer_debts{instance=~"$instance", state="overdue"}))`},
	}},
	{"Suspended campaigns", "short", 8, [][2]string{
		{"{{campaign}}: {{cause}}", `max by (campaign, cause) (belpoort_campaign_suspended{instance=~"$instance"})`},
	}},
	{"Facts imported a second", "ops", 8, [][2]string{
		{"{{result}}", `sum by (result) (rate(belpoort_imported_facts_total{instance=~"$instance"}[$__rate_interval]))`},
	}},
	{"Room: checks and writes under way", "short", 12, [][2]string{
		{"checks, {{instance}}", `belpoort_checks_in_flight{instance=~"$instance"}`},
		{"writes, {{instance}}", `belpoort_writes_in_flight{instance=~"$instance"}`},
	}},
	{"No room: checks refused a second", "reqps", 12, [][2]string{
		{"shed, {{instance}}", `rate(belpoort_checks_shed_total{instance=~"$instance"}[$__rate_interval])`},
		{"over their key's rate, {{instance}}", `rate(belpoort_checks_rate_limited_total{instance=~"$instance"}[$__rate_interval])`},
	}},
	{"Objections, time to effect", "s", 8, [][2]string{
		{"p50", `histogram_quantile(0.5, sum by (le) (rate(belpoort_objection_effect_seconds_bucket[$__rate_interval])))`},
		{"p99", `histogram_quantile(0.99, sum by (le) (rate(belpoort_objection_effect_seconds_bucket[$__rate_interval])))`},
	}},
	{"Objections that wait for the ledger", "short", 8, [][2]string{
		{"{{instance}}", `belpoort_pending_objections{instance=~"$instance"}`},
	}},
	{"Objection drill: broken paths", "short", 8, [][2]string{
		{"{{instance}}", `belpoort_drill_broken_paths`},
	}},
	{"Objection drill: until a node refused", "s", 12, [][2]string{
		{"{{door}} to {{node}}", `belpoort_drill_refused_seconds`},
	}},
	{"Objection drill: time since the last", "s", 12, [][2]string{
		{"since", `time() - max(belpoort_drill_timestamp_seconds)`},
	}},
	{"Lease left", "s", 8, [][2]string{
		{"{{instance}}", `belpoort_lease_remaining_seconds{instance=~"$instance"}`},
	}},
	{"Behind the ledger, positions", "short", 8, [][2]string{
		{"{{instance}}", `belpoort_fence_head_position{instance=~"$instance"} - belpoort_fence_applied_position{instance=~"$instance"}`},
	}},
	{"Journal: fsync p99", "s", 8, [][2]string{
		{"{{instance}}", `histogram_quantile(0.99, sum by (le, instance) (rate(belpoort_journal_fsync_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))`},
	}},
	{"Journal: decisions on their way", "s", 8, [][2]string{
		{"{{instance}}", `belpoort_journal_lag_seconds{instance=~"$instance"}`},
	}},
	{"Cache: share of hits", "percentunit", 8, [][2]string{
		{"{{instance}}", `sum by (instance) (rate(belpoort_cache_lookups_total{instance=~"$instance", result="hit"}[$__rate_interval])) / sum by (instance) (rate(belpoort_cache_lookups_total{instance=~"$instance"}[$__rate_interval]))`},
	}},
	{"Cache: records not believed", "reqps", 8, [][2]string{
		{"{{cause}}", `sum by (cause) (rate(belpoort_cache_rejected_total{instance=~"$instance"}[$__rate_interval]))`},
	}},
	{"Nodes with a lease", "short", 8, [][2]string{
		{"seen by {{instance}}", `belpoort_nodes{instance=~"$instance"}`},
	}},
	{"Disk: room left", "bytes", 8, [][2]string{
		{"{{instance}}", `belpoort_disk_free_bytes{instance=~"$instance"}`},
	}},
	{"Certificate: days left", "d", 8, [][2]string{
		{"{{instance}}", `(belpoort_certificate_expiry_timestamp_seconds{instance=~"$instance"} - time()) / 86400`},
	}},
	{"Memory", "bytes", 8, [][2]string{
		{"{{instance}}", `process_resident_memory_bytes{job="belpoort", instance=~"$instance"}`},
	}},
}

// board writes the board as Grafana imports it; panels follow each other in rows 24 wide.
func board(panels []panel) ([]byte, error) {
	type object = map[string]any
	source := object{"type": "prometheus", "uid": "${source}"}
	var plots []object
	x, y := 0, 0
	for i, p := range panels {
		if x+p.width > 24 {
			x, y = 0, y+8
		}
		var targets []object
		for k, q := range p.queries {
			targets = append(targets, object{"refId": string(rune('A' + k)), "legendFormat": q[0], "expr": q[1], "datasource": source})
		}
		plots = append(plots, object{
			"id": i + 1, "type": "timeseries", "title": p.title, "datasource": source, "targets": targets,
			"gridPos":     object{"x": x, "y": y, "w": p.width, "h": 8},
			"fieldConfig": object{"defaults": object{"unit": p.unit, "custom": object{"lineWidth": 1, "showPoints": "never"}}, "overrides": []object{}},
			"options":     object{"tooltip": object{"mode": "multi", "sort": "desc"}},
		})
		x += p.width
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err := encoder.Encode(object{
		"title": "Belpoort", "uid": "belpoort", "schemaVersion": 39, "refresh": "10s", "time": object{"from": "now-1h", "to": "now"},
		"tags": []string{"belpoort"}, "graphTooltip": 1, "panels": plots,
		"templating": object{"list": []object{
			{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
			{"name": "instance", "type": "query", "datasource": source, "query": `label_values(belpoort_build_info, instance)`, "multi": true, "includeAll": true, "allValue": ".*", "refresh": 2, "current": object{"text": "All", "value": "$__all"}},
		}},
	})
	return text.Bytes(), err
}

// TestTheBoardIsUpToDate holds the file to the panels above.
func TestTheBoardIsUpToDate(t *testing.T) {
	fresh, err := board(boardPanels)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(boardFile, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, boardFile) != string(fresh) {
		t.Error(boardFile + " is out of date: go test ./deploy -run TestTheBoard -update")
	}
}

// TestAlertsRing has Prometheus' own tool judge the rules, and try each on made-up series.
func TestAlertsRing(t *testing.T) {
	for _, arguments := range [][]string{{"check", "rules", "belpoort.rules.yml"}, {"test", "rules", "belpoort_test.yml"}} {
		command := exec.CommandContext(t.Context(), "promtool", arguments...)
		command.Dir = "prometheus"
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
	}
}

// Every alert is tried for ringing and for silence, and the page for operators says what to do about it.
func TestEveryAlertIsTriedAndExplained(t *testing.T) {
	tests, page := read(t, "prometheus/belpoort_test.yml"), read(t, "../docs/operations.md")
	alerts := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(read(t, "prometheus/belpoort.rules.yml"), -1)
	for _, found := range alerts {
		name := found[1]
		if !strings.Contains(tests, "alertname: "+name+", exp_alerts: []}") || !strings.Contains(tests, `{alertname="`+name+`"}`) {
			t.Errorf("%s is not tried", name)
		}
		if !strings.Contains(page, "| `"+name+"` |") {
			t.Errorf("docs/operations.md does not say what to do about %s", name)
		}
	}
	if len(alerts) < 12 {
		t.Errorf("%d alerts found", len(alerts))
	}
}
