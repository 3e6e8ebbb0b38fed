package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mounted is a folder of keys as a Kubernetes Secret appears in a container: links to files that the group can read.
func mounted(t *testing.T, keys map[string]string) string {
	t.Helper()
	into := t.TempDir()
	behind := filepath.Join(into, "..2026_11_30")
	if err := os.Mkdir(behind, 0o750); err != nil {
		t.Fatal(err)
	}
	for name, content := range keys {
		if err := os.WriteFile(filepath.Join(behind, name), []byte(content), 0o440); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(filepath.Base(behind), name), filepath.Join(into, name)); err != nil {
			t.Fatal(err)
		}
	}
	return into
}

func keysOf(t *testing.T, data string) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for _, name := range keyFiles {
		content, err := os.ReadFile(filepath.Join(data, "keys", name))
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = string(content)
	}
	return keys
}

// A second node starts from the first one's keys though they come by links that others may read, and again after its volume
// was opened to its group; with --api-keys it makes no key of its own.
func TestKeysAreInstalledFromAMount(t *testing.T) {
	first := stocked(t)
	from := mounted(t, keysOf(t, first.data))
	data := filepath.Join(t.TempDir(), "data")
	for range 2 {
		if code, out := cli(t, "keys", "install", "--from", from, "--data", data); code != exitOK || !strings.Contains(out, "installed deployment.key, permit-keys.json, api-keys.yaml, operator.key") {
			t.Fatalf("exit %d: %s", code, out)
		}
		for path, mode := range map[string]os.FileMode{"keys": 0o700, "keys/deployment.key": 0o600, "keys/permit-keys.json": 0o600} {
			if info, err := os.Stat(filepath.Join(data, path)); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
		second := serveIn(t, data)
		second.must("decisions") // asked with the first node's key
		second.stop()
		for path, mode := range map[string]os.FileMode{"keys": 0o770, "keys/deployment.key": 0o660, "keys/permit-keys.json": 0o660} {
			if err := os.Chmod(filepath.Join(data, path), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(data, ".keys-*")); err != nil || len(left) > 0 {
		t.Errorf("copies of keys are left: %v, %v", left, err)
	}
	keyless := filepath.Join(t.TempDir(), "data")
	alone := mounted(t, map[string]string{"deployment.key": keysOf(t, first.data)["deployment.key"]})
	if code, out := cli(t, "keys", "install", "--from", alone, "--data", keyless); code != exitOK || !strings.Contains(out, "installed deployment.key\n") {
		t.Fatalf("exit %d: %s", code, out)
	}
	serveIn(t, keyless, "--api-keys", filepath.Join(from, "api-keys.yaml"))
	if _, err := os.Stat(folder(keyless).operatorKey()); !os.IsNotExist(err) {
		t.Errorf("an operator's key that nobody knows was made: %v", err)
	}
}

// Wrong keys, and another deployment's, change nothing.
func TestWrongKeysAreNotInstalled(t *testing.T) {
	p := stocked(t)
	p.stop()
	good := keysOf(t, p.data)
	with := func(name, content string) map[string]string {
		changed := map[string]string{}
		for n, c := range good {
			changed[n] = c
		}
		changed[name] = content
		return changed
	}
	for name, one := range map[string]struct {
		keys map[string]string
		code int
		says string
	}{
		"another deployment's": {with("deployment.key", strings.Repeat("k", 32)), exitFailed, "another deployment's key; nothing was changed"},
		"short":                {with("deployment.key", "short"), exitUsage, "has 5 bytes"},
		"API keys":             {with("api-keys.yaml", "keys:\n- id: x\n"), exitUsage, "api-keys.yaml"},
		"permit keys":          {with("permit-keys.json", "{"), exitUsage, "permit-keys.json"},
		"too large":            {with("api-keys.yaml", strings.Repeat("#", maxInstalledKey+1)), exitUsage, "larger than"},
		"none":                 {map[string]string{"api-keys.yaml": good["api-keys.yaml"]}, exitUsage, "deployment.key"},
	} {
		from := mounted(t, one.keys)
		code, out := cli(t, "keys", "install", "--from", from, "--data", p.data)
		if code != one.code || !strings.Contains(out, one.says) || strings.Contains(out, ".keys-") {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	if code, out := cli(t, "keys", "install", "--data", p.data); code != exitUsage || !strings.Contains(out, "--from is missing") {
		t.Errorf("without --from: exit %d: %s", code, out)
	}
	for name, content := range keysOf(t, p.data) {
		if content != good[name] {
			t.Errorf("%s was changed", name)
		}
	}
}
