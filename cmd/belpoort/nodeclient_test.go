package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belpoort/belpoort/disktest"
	"github.com/belpoort/belpoort/rig"
)

// nodeClient is a copy of the Node.js client with its dependencies, as its lock names them.
type nodeClient struct {
	t      *testing.T
	folder string
}

func installNodeClient(t *testing.T) *nodeClient {
	t.Helper()
	root := t.TempDir()
	for _, folder := range []string{"proto", "clients/node"} {
		if err := os.CopyFS(filepath.Join(root, folder), os.DirFS(filepath.Join("..", "..", folder))); err != nil {
			t.Fatal(err)
		}
	}
	n := &nodeClient{t, filepath.Join(root, "clients", "node")}
	if err := os.RemoveAll(filepath.Join(n.folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	code, out := n.run(3*time.Minute, nil, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1")
	switch {
	case code != 0 && strings.Contains(out, "npm ERR! network"), code != 0 && strings.Contains(out, "npm error network"):
		disktest.NotRun(t, "the Node.js client was not tried: npm's registry cannot be reached")
	case code != 0:
		t.Fatalf("npm ci: exit %d\n%s", code, out)
	}
	return n
}

func (n *nodeClient) run(patience time.Duration, env []string, name string, args ...string) (int, string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = n.folder, append(os.Environ(), env...), time.Second
	out, err := cmd.CombinedOutput()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return failed.ExitCode(), string(out)
	}
	if err != nil {
		n.t.Fatalf("%s (scripts/test-setup.sh installs it): %v\n%s", name, err, out)
	}
	return 0, string(out)
}

func TestTheNodeClientAgainstTheService(t *testing.T) {
	n := installNodeClient(t)
	if code, out := n.run(time.Minute, nil, "node", "--test"); code != 0 {
		t.Errorf("its own tests: exit %d\n%s", code, out)
	}
	p := stocked(t)
	slow := rig.StartProxy(t, p.grpc)
	check := func(address, number string, want int, says string) {
		t.Helper()
		code, out := n.run(time.Minute, nil, "node", "check.js", address, folder(p.data).operatorKey(), number, "volt", shownNumber)
		if code != want || !strings.Contains(out, says) {
			t.Errorf("exit %d, want %d with %q:\n%s", code, want, says, out)
		}
	}
	check(p.grpc, allowedNumber, 0, "dial, showing +31201234567")
	check(p.grpc, "06-87654321", 3, "REASON_NO_BASIS")
	check(freeAddress(t), allowedNumber, 5, "do not dial: could not be checked")
	slow.Delay(1500 * time.Millisecond)
	check(slow.Address(), allowedNumber, 5, "do not dial: could not be checked")
	p.must("object", allowedNumber, "--organisation", "voltwerk", "--via", "AGENT")
	check(p.grpc, allowedNumber, 3, "REASON_OBJECTED")
}

// The lock pins what is installed by version and hash, and names no registry: each machine uses its own.
func TestTheLockOfTheNodeClientNamesNoRegistry(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "clients", "node", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	lock := string(text)
	if strings.Contains(lock, `"resolved"`) || strings.Contains(lock, "registry.") {
		t.Error("it names a registry: npm install --package-lock-only --omit-lockfile-registry-resolved")
	}
	if pinned := strings.Count(lock, `"integrity": "sha512-`); pinned < 10 || pinned != strings.Count(lock, `"node_modules/`) {
		t.Errorf("%d packages have a hash", pinned)
	}
}
