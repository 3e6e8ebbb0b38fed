package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func embeddedLaw(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("../../eligibility/law/nl.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// eventually waits for something that another process does in its own time.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("%s: it did not happen", what)
}

// A changed law is in force without a restart; a wrong one leaves the last good one, counts, and says what is wrong.
func TestTheLawFollowsItsFile(t *testing.T) {
	dir := t.TempDir()
	good := embeddedLaw(t)
	file := write(t, dir, lawName, good)
	data := filepath.Join(t.TempDir(), "data")
	p := serveIn(t, data, "--law", dir)
	p.must("apply", write(t, t.TempDir(), "catalogue.yaml", testCatalogue()))
	p.must("import", "consents", write(t, t.TempDir(), "consents.csv", consentsFile(allowedNumber)))
	_, first := p.check(allowedNumber)
	if first["verdict"] != "VERDICT_ALLOW" {
		t.Fatalf("got %v", first)
	}

	write(t, dir, lawName, strings.Replace(good, "consent_max_age: {default: 12 months", "consent_max_age: {default: 1 hour", 1))
	eventually(t, "a stricter law", func() bool {
		_, answer := p.check(allowedNumber)
		return answer["reason"] == "REASON_CONSENT_EXPIRED" && answer["law_version"] != first["law_version"]
	})

	write(t, dir, lawName, strings.Replace(good, "OK_LOTTERY", "OK_LOTERY", 1))
	eventually(t, "a wrong law is counted", func() bool {
		_, metrics := get(p.ops, "/metrics")
		return strings.Contains(metrics, `belpoort_file_reloads_total{file="law",result="failed"} 1`)
	})
	if _, answer := p.check(allowedNumber); answer["reason"] != "REASON_CONSENT_EXPIRED" {
		t.Errorf("a wrong law changed the answer: %v", answer)
	}
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "the good law again", func() bool {
		_, answer := p.check(allowedNumber)
		return answer["law_version"] == first["law_version"] && answer["verdict"] == "VERDICT_ALLOW"
	})
	p.stop()
	if log := p.log.String(); !strings.Contains(log, "OK_LOTERY") || !strings.Contains(log, lawName+":") {
		t.Errorf("the log does not name what was wrong, and where:\n%s", log)
	}
}

// A wrong law at the start names file, line and key, and nothing is served.
func TestServeRefusesAWrongLaw(t *testing.T) {
	good := embeddedLaw(t)
	replaced := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the law has no %q", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for name, c := range map[string]struct{ law, want string }{
		"unknown word":      {replaced("OK_LOTTERY", "OK_LOTERY"), "relationships.reason: unknown word"},
		"unknown key":       {replaced("own_purpose: true", "own_porpoise: true"), "own_porpoise: unknown key"},
		"overlap":           {replaced("until: 2026-07-01T00:00:00+02:00", "until: 2026-08-01T00:00:00+02:00"), "overlaps"},
		"backwards":         {replaced("until: 2026-07-01T00:00:00+02:00", "until: 2020-07-01T00:00:00+02:00"), "ends before it begins"},
		"negative duration": {replaced("default: 30 days", "default: -30 days"), "settings.request_ttl"},
		"never open":        {replaced(`"Mon-Fri 09:00-21:00, Sat 10:00-16:00"`, `"Mon 21:00-09:00"`), "settings.hours"},
		"holiday":           {replaced("ASCENSION,", "ASCENTION,"), "settings.holidays"},
		"no source":         {replaced("source: Tw 11.7(5)\n", "source: \"\"\n"), "relationships.source"},
		"missing setting":   {replaced("  state_basis:", "  state_bases:"), "state_bases: unknown key"},
		"bad prefix":        {replaced(`prefix: "085"`, `prefix: "85"`), "ranges.prefix"},
		"no yaml":           {"regimes: [", "yaml"},
		"empty":             {"", "empty"},
		"wrong verdicts":    {replaced("kinds: [SALE]\n    similar_products", "kinds: [DONATION]\n    similar_products"), "self-test"},
	} {
		dir := t.TempDir()
		write(t, dir, lawName, c.law)
		data := filepath.Join(t.TempDir(), "data")
		code, out := cli(t, "serve", "--data", data, "--law", dir, "--grpc", "127.0.0.1:0", "--ops", "127.0.0.1:0")
		if code != exitFailed || !strings.Contains(out, c.want) || !strings.Contains(out, lawName) && name != "wrong verdicts" {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	if code, out := cli(t, "serve", "--data", t.TempDir(), "--law", t.TempDir()); code != exitFailed || !strings.Contains(out, "--law") {
		t.Errorf("no file: exit %d: %s", code, out)
	}
}
