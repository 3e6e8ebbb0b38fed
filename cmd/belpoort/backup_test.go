package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A node is lost; another is made of a backup that was taken while it served, and goes on: an objection of before is kept.
func TestABackupMakesANodeAgain(t *testing.T) {
	p := stocked(t)
	p.check(allowedNumber)
	p.must("decisions", "--verdict", "ALLOW") // waits until it is in the ledger
	p.must("object", allowedNumber, "--campaign", "volt", "--via", "IVR")
	file := filepath.Join(t.TempDir(), "monday.db")
	code, out := cli(t, "backup", file, "--data", p.data)
	if code != exitOK || !strings.Contains(out, "walked whole") {
		t.Fatalf("exit %d: %s", code, out)
	}
	if code, again := cli(t, "backup", file, "--data", p.data); code != exitUsage || !strings.Contains(again, "is there already") {
		t.Errorf("a backup over another: exit %d: %s", code, again)
	}
	for _, what := range [][]string{{"--data", p.data}, {file}} {
		if code, out := cli(t, append([]string{"ledger", "verify"}, what...)...); code != exitOK || !strings.HasPrefix(out, "SOUND  ") || !strings.Contains(out, "\n1 ALLOWs, each") {
			t.Errorf("verify %v: exit %d: %s", what, code, out)
		}
	}
	p.kill()
	data := filepath.Join(t.TempDir(), "data")
	if code, out = cli(t, "restore", file, "--data", data); code != exitOK || !strings.Contains(out, "register them again") {
		t.Fatalf("exit %d: %s", code, out)
	}
	if code, out = cli(t, "restore", file, "--data", p.data); code != exitUsage {
		t.Errorf("a restore over a node: exit %d: %s", code, out)
	}
	if err := copyPrivately(filepath.Join(p.data, "keys"), filepath.Join(data, "keys")); err != nil {
		t.Fatal(err)
	}
	again := serveIn(t, data)
	if code, answer := again.check(allowedNumber); code != exitDeny || answer["reason"] != "REASON_OBJECTED" {
		t.Errorf("exit %d: %v", code, answer)
	}
}

func TestACopyThatCannotBe(t *testing.T) {
	folder := t.TempDir()
	for name, args := range map[string][]string{
		"no ledger":         {"backup", filepath.Join(folder, "a.db"), "--data", filepath.Join(folder, "none")},
		"no backup":         {"restore", filepath.Join(folder, "b.db"), "--data", filepath.Join(folder, "new")},
		"both":              {"ledger", "verify", "a.db", "--ledger", "postgres://x"},
		"nothing to verify": {"ledger", "verify", "--data", filepath.Join(folder, "none")},
	} {
		if code, out := cli(t, args...); code != exitUsage || out == "" {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	noise := write(t, folder, "noise.db", strings.Repeat("noise", 100))
	if code, out := cli(t, "ledger", "verify", noise); code != exitFailed || !strings.Contains(out, "corrupt") {
		t.Errorf("noise: exit %d: %s", code, out)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A support bundle tells of the service and of nobody. The mutant mutant_bundle_with_data must fail here.
func TestASupportBundleHoldsNothingPersonal(t *testing.T) {
	p := serveIn(t, filepath.Join(t.TempDir(), "data"), "--log-level", "debug")
	files := t.TempDir()
	p.must("apply", write(t, files, "catalogue.yaml", testCatalogue()))
	numbers := []string{"06-18273645", "06-41827364"}
	p.must("import", "consents", write(t, files, "consents.csv", consentsFile(numbers...)))
	var tokens []string
	for _, n := range numbers {
		p.check(n)
		p.must("object", n, "--organisation", "voltwerk", "--via", "WEB")
		p.check(n)
		tokens = append(tokens, calleeToken(t, p, n))
	}
	operator, err := os.ReadFile(folder(p.data).operatorKey())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BELPOORT_LEDGER", "postgres://belpoort:s3cr3t@db.example/belpoort?password=s3cr3t")
	file := filepath.Join(files, "bundle.tar.gz")
	code, out := cli(t, "support-bundle", file, "--data", p.data, "--ops", p.ops)
	if code != exitOK || strings.Contains(out, "without") {
		t.Fatalf("exit %d: %s", code, out)
	}
	content := unpacked(t, file)
	for part, says := range map[string]string{
		"about.txt": "belpoort ", "settings.txt": "BELPOORT_LEDGER=postgres://db.example\n", "files.txt": "ledger/ledger.db",
		"service/metrics": "belpoort_checks_total{", "service/readyz-verbose": "journal   ok", "service/debug-pprof-heap": "",
	} {
		if text, is := content["belpoort-support/"+part]; !is || !strings.Contains(text, says) {
			t.Errorf("%s: %v %.200s", part, is, text)
		}
	}
	secrets := append(tokens, strings.TrimSpace(string(operator)), "s3cr3t", "618273645", "18273645", "641827364", "41827364", "J. Jansen")
	for part, text := range content {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", part, secret)
			}
		}
	}
}

func calleeToken(t *testing.T, p *process, number string) string {
	t.Helper()
	out := p.must("explain", number, "--campaign", "volt", "--caller-id", shownNumber)
	_, rest, _ := strings.Cut(out, "callee")
	token := strings.Fields(rest)[0]
	if len(token) != 32 {
		t.Fatalf("no token in %s", out)
	}
	return token
}

func unpacked(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	content, archive := map[string]string{}, tar.NewReader(packed)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return content
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		content[header.Name] = string(text)
	}
}
