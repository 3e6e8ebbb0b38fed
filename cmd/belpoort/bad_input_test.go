package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Bad input gets a clear error and changes nothing.
func TestBadInputOnTheCommandLine(t *testing.T) {
	p := stocked(t)
	files := t.TempDir()
	before := ledgerPosition(t, p)
	good := testCatalogue()
	cases := []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"unknown campaign", []string{"check", allowedNumber, "--campaign", "nope", "--caller-id", shownNumber}, exitUsage, []string{"campaign", "CAMPAIGN_UNKNOWN"}},
		{"missing campaign", []string{"check", allowedNumber}, exitUsage, []string{"--campaign"}},
		{"missing caller ID", []string{"check", allowedNumber, "--campaign", "volt"}, exitUsage, []string{"caller_id"}},
		{"a number of 41 bytes", []string{"check", strings.Repeat("0", 41), "--campaign", "volt", "--caller-id", shownNumber}, exitUsage, []string{"callee"}},
		{"unknown presentation", []string{"check", allowedNumber, "--campaign", "volt", "--presentation", "HIDDEN"}, exitUsage, []string{"--presentation", "RESTRICTED"}},
		{"unknown organisation", []string{"object", allowedNumber, "--organisation", "nope"}, exitUsage, []string{"organisation"}},
		{"objection to no number", []string{"object", "0612", "--organisation", "voltwerk"}, exitUsage, []string{"callee"}},
		{"objection to a number that cannot exist", []string{"object", "+316123456780", "--organisation", "voltwerk"}, exitUsage, []string{"callee"}},
		{"unknown via", []string{"object", allowedNumber, "--organisation", "voltwerk", "--via", "PIGEON"}, exitUsage, []string{"--via", "IVR"}},
		{"time without offset", []string{"explain", allowedNumber, "--campaign", "volt", "--at", "yesterday"}, exitUsage, []string{"--at"}},
		{"future position", []string{"explain", allowedNumber, "--campaign", "volt", "--caller-id", shownNumber, "--position", "999999"}, exitUsage, []string{"position"}},
		{"unknown language", []string{"explain", allowedNumber, "--campaign", "volt", "--caller-id", shownNumber, "--lang", "fr"}, exitUsage, []string{"language"}},
		{"unknown flag", []string{"check", "--camapign", "volt"}, exitUsage, []string{"--camapign", "--help"}},
		{"unknown kind of file", []string{"import", "consent", "x.csv"}, exitUsage, []string{"consents"}},
		{"no such file", []string{"import", "consents", filepath.Join(files, "none.csv")}, exitUsage, []string{"none.csv"}},
		{"wrong header", []string{"import", "consents", write(t, files, "h.csv", "telefoonnummer;kleur\n06-12345678;rood\n")}, exitUsage, []string{"h.csv", "kleur"}},
		{"missing header", []string{"import", "objections", write(t, files, "m.csv", "telefoonnummer\n06-12345678\n")}, exitUsage, []string{"m.csv", "lacks organisation"}},
		{"dangling organisation", []string{"apply", write(t, files, "d.yaml", strings.Replace(good, "{id: volt, organisation: voltwerk", "{id: volt, organisation: volwterk", 1))}, exitUsage, []string{"d.yaml:8:", "volwterk"}},
		{"duplicate campaign", []string{"apply", write(t, files, "u.yaml", strings.Replace(good, "  product_families", "  - {id: volt, organisation: other, purpose: COMMERCIAL, product: gas, mode: HUMAN, dialing: PREVIEW}\n  product_families", 1))}, exitUsage, []string{"u.yaml:9:", "volt"}},
		{"unknown key", []string{"apply", write(t, files, "k.yaml", strings.Replace(good, "dialing: PREDICTIVE", "dailing: PREDICTIVE", 1))}, exitUsage, []string{"k.yaml:8:", "dailing"}},
		{"hours that never open", []string{"apply", write(t, files, "o.yaml", strings.Replace(good, "Mon-Sun 00:00-24:00", "Mon 24:00-24:00", 1))}, exitUsage, []string{"o.yaml:11:", "hours"}},
		{"unknown setting", []string{"apply", write(t, files, "s.yaml", strings.Replace(good, "kings_day", "queens_day", 1))}, exitUsage, []string{"s.yaml:15:", "queens_day"}},
		{"no scenario file", []string{"scenarios", "run", filepath.Join(files, "none.yaml")}, exitUsage, []string{"none.yaml"}},
		{"wrong key", []string{"check", allowedNumber, "--campaign", "volt", "--caller-id", shownNumber, "--key-file", write(t, files, "key", "bpk_wrong")}, exitUsage, []string{"KEY_UNKNOWN"}},
		{"no key", []string{"check", allowedNumber, "--campaign", "volt", "--key-file", filepath.Join(files, "none")}, exitUsage, []string{"--key-file"}},
		{"a role that does not exist", []string{"keys", "new", "--id", "x", "--role", "boss", "--organisation", "*"}, exitUsage, []string{"boss", "dialer"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if args[0] != "keys" && args[0] != "scenarios" {
				args = append(args, "--address", p.grpc)
			}
			code, out := cli(t, append(args, "--data", p.data)...)
			if code != c.code {
				t.Errorf("exit %d, want %d: %s", code, c.code, out)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("the error does not name %q: %s", want, out)
				}
			}
			if strings.Contains(out, "12345678") {
				t.Errorf("the error shows the number: %s", out)
			}
		})
	}
	if after := ledgerPosition(t, p); after != before {
		t.Errorf("the ledger went from %s to %s", before, after)
	}
	if code, _ := p.check(allowedNumber); code != exitOK {
		t.Errorf("the allowed number is no longer allowed: exit %d", code)
	}
}

func TestServeRefusesABadFolder(t *testing.T) {
	p := stocked(t)
	file := write(t, t.TempDir(), "file", "")
	serve := func(data string, more ...string) (int, string) {
		return cli(t, append([]string{"serve", "--data", data, "--grpc", "127.0.0.1:0", "--ops", "127.0.0.1:0"}, more...)...)
	}
	if code, out := serve(p.data); code != exitFailed || !strings.Contains(out, "in use by another process") {
		t.Errorf("in use: exit %d: %s", code, out)
	}
	if code, out := serve(filepath.Join(file, "data")); code != exitFailed || !strings.Contains(out, "data folder") {
		t.Errorf("not writable: exit %d: %s", code, out)
	}
	if code, out := serve(t.TempDir(), "--grpc", p.grpc); code != exitFailed || !strings.Contains(out, "--grpc") {
		t.Errorf("port in use: exit %d: %s", code, out)
	}
	if code, out := serve(t.TempDir(), "--grpc", "0.0.0.0:0"); code != exitFailed || !strings.Contains(out, "TLS") {
		t.Errorf("no TLS beyond loopback: exit %d: %s", code, out)
	}
	p.stop()
	if err := os.Rename(folder(p.data).deploymentKey(), file); err != nil {
		t.Fatal(err)
	}
	if code, out := serve(p.data); code != exitFailed || !strings.Contains(out, "put it back") {
		t.Errorf("lost key: exit %d: %s", code, out)
	}
	write(t, filepath.Join(p.data, "keys"), "deployment.key", strings.Repeat("k", 32))
	if code, out := serve(p.data); code != exitFailed || !strings.Contains(out, "another deployment's key") {
		t.Errorf("another key: exit %d: %s", code, out)
	}
	if err := os.Rename(file, folder(p.data).deploymentKey()); err != nil {
		t.Fatal(err)
	}
	again := serveIn(t, p.data)
	if code, _ := again.check(allowedNumber); code != exitOK {
		t.Errorf("after all that the number is no longer allowed: exit %d", code)
	}
}

func TestServeRefusesACorruptLedger(t *testing.T) {
	p := stocked(t)
	p.stop()
	files, err := filepath.Glob(filepath.Join(folder(p.data).ledger(), "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		content[i] ^= 0x5a
	}
	if err := os.WriteFile(files[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := cli(t, "serve", "--data", p.data, "--grpc", "127.0.0.1:0", "--ops", "127.0.0.1:0")
	if code != exitFailed || !strings.Contains(out, "corrupt") || !strings.Contains(out, filepath.Base(files[0])) {
		t.Errorf("exit %d: %s", code, out)
	}
	if after, _ := os.ReadFile(files[0]); string(after) != string(content) {
		t.Error("the damaged file was changed")
	}
}

func TestConfigPrecedence(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "belpoort.yaml", "grpc: 127.0.0.1:7001\nops: 127.0.0.1:7002\nlog-level: warn\n")
	cmd := newRoot()
	cmd.SetArgs([]string{"serve", "--config", file, "--ops", "127.0.0.1:7003"})
	serve, _, err := cmd.Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.ParseFlags([]string{"--config", file, "--ops", "127.0.0.1:7003"}); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) {
		value, ok := map[string]string{"BELPOORT_LOG_LEVEL": "debug", "BELPOORT_HTTP": "127.0.0.1:7004"}[name]
		return value, ok
	}
	if err := applyConfig(serve, env); err != nil {
		t.Fatal(err)
	}
	f := flags{serve.Flags()}
	if f.text("grpc") != "127.0.0.1:7001" || f.text("ops") != "127.0.0.1:7003" || f.text("log-level") != "debug" {
		t.Errorf("grpc %s, ops %s, log-level %s", f.text("grpc"), f.text("ops"), f.text("log-level"))
	}
	for content, want := range map[string]string{
		"grcp: x\n": ":1: grcp: unknown key", "grpc: [a\n": "yaml", "\ngrpc: {a: b}\n": ":2: grpc", "cache-mib: many\n": ":1: cache-mib",
		"- grpc\n": ":1: want a map", "grpc: a\ngrpc: b\n": ":2: grpc: stands twice",
	} {
		code, out := cli(t, "serve", "--config", write(t, dir, "bad.yaml", content), "--data", filepath.Join(dir, "data"))
		if code != exitUsage || !strings.Contains(out, want) {
			t.Errorf("%q: exit %d: %s", content, code, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("a bad configuration made a data folder")
	}
}
