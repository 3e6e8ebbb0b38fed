package keyring

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestOpenMakesAKeyAndFindsItAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	ring, created, err := Open(dir)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	path := filepath.Join(dir, "keys", "deployment.key")
	for place, want := range map[string]fs.FileMode{path: 0o600, filepath.Join(dir, "keys"): 0o700, dir: 0o700, filepath.Dir(dir): 0o700} {
		if got := modeOf(t, place); got != want {
			t.Errorf("%s has mode %o, want %o", place, got, want)
		}
	}
	before, err := os.ReadFile(path)
	if err != nil || len(before) != 32 || bytes.Equal(before, make([]byte, 32)) {
		t.Fatalf("%d bytes, %v", len(before), err)
	}
	again, created, err := Open(dir)
	if err != nil || created || again.CheckValue() != ring.CheckValue() {
		t.Errorf("created %v, %v", created, err)
	}
	n := number(t, "+31612345678")
	if again.Token(n) != ring.Token(n) {
		t.Error("the key gives another token after a restart")
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key changed: %v", err)
	}
	other, _, err := Open(t.TempDir())
	if err != nil || other.CheckValue() == ring.CheckValue() {
		t.Errorf("another folder has the same key: %v", err)
	}
	wantOnlyTheKey(t, dir)
}

func wantOnlyTheKey(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "deployment.key" {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// keyAt prepares a data folder with its key file.
func keyAt(t *testing.T, content []byte, mode fs.FileMode) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "keys", "deployment.key")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

func wantRefused(t *testing.T, dir, fault string) {
	t.Helper()
	ring, created, err := Open(dir)
	if !errors.Is(err, ErrKeyFile) || !strings.Contains(err.Error(), fault) || ring != nil || created {
		t.Errorf("Open gives %v, %v, %v, want an error with %q", ring, created, err, fault)
	}
}

func TestAKeyThatOthersCanReachIsRefused(t *testing.T) {
	for mode := range fs.FileMode(0o100) {
		dir, path := keyAt(t, secretOf(1), 0o600|mode)
		if mode == 0 {
			if _, created, err := Open(dir); err != nil || created {
				t.Errorf("a good key: created %v, %v", created, err)
			}
			continue
		}
		wantRefused(t, dir, fmt.Sprintf("has mode %04o", 0o600|mode))
		if got := modeOf(t, path); got != 0o600|mode {
			t.Errorf("mode %o became %o", 0o600|mode, got)
		}
	}
	dir, _ := keyAt(t, secretOf(1), 0o400)
	if _, _, err := Open(dir); err != nil {
		t.Errorf("a key that nobody may write: %v", err)
	}
}

func TestAFileThatIsNoKeyIsRefusedAndKept(t *testing.T) {
	for fault, content := range map[string][]byte{
		"has 0 bytes": {}, "has 31 bytes": secretOf(1)[:31], "has 33 bytes": append(secretOf(1), 0),
		"has 65 bytes": []byte(strings.Repeat("a", 64) + "\n"), "zeros only": make([]byte, 32),
	} {
		dir, path := keyAt(t, content, 0o600)
		wantRefused(t, dir, fault)
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: the file changed: %v", fault, err)
		}
	}
}

func TestSomethingElseInTheKeysPlaceIsRefused(t *testing.T) {
	replace := func(put func(path string) error) string {
		dir, path := keyAt(t, secretOf(1), 0o600)
		if err := errors.Join(os.Rename(path, filepath.Join(dir, "elsewhere")), put(path)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	wantRefused(t, replace(func(path string) error { return os.Symlink("../elsewhere", path) }), "symbolic link")
	wantRefused(t, replace(func(path string) error { return os.Symlink("nowhere", path) }), "symbolic link")
	wantRefused(t, replace(func(path string) error { return os.Mkdir(path, 0o700) }), "no plain file")
	wantRefused(t, replace(func(path string) error { return syscall.Mkfifo(path, 0o600) }), "no plain file")
}

func TestAFolderThatOthersCanWriteToIsRefused(t *testing.T) {
	for _, mode := range []fs.FileMode{0o720, 0o702, 0o777} {
		dir, path := keyAt(t, secretOf(1), 0o600)
		if err := os.Chmod(filepath.Dir(path), mode); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, dir, fmt.Sprintf("has mode %04o", mode))
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "keys"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, dir, "no folder")
	if _, _, err := Open(filepath.Join(dir, "keys")); err == nil {
		t.Error("a file was taken for the data folder")
	}
}

// A process that died between making the key and removing its draft left a second name of the key.
func TestDraftsAreSwept(t *testing.T) {
	dir, path := keyAt(t, secretOf(1), 0o600)
	draft := filepath.Join(filepath.Dir(path), draftStart+"0011223344556677")
	if err := errors.Join(os.Link(path, draft), os.WriteFile(draft+"8899", secretOf(9)[:7], 0o600)); err != nil {
		t.Fatal(err)
	}
	ring, created, err := Open(dir)
	if err != nil || created || ring.CheckValue() != ringOf(t, 1).CheckValue() {
		t.Errorf("created %v, %v", created, err)
	}
	wantOnlyTheKey(t, dir)
}

func TestOpensAtOnceShareOneKey(t *testing.T) {
	for range 40 {
		dir := filepath.Join(t.TempDir(), "data")
		const callers = 4
		var checks [callers]string
		var made [callers]bool
		var errs [callers]error
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range callers {
			all.Go(func() {
				<-start
				ring, created, err := Open(dir)
				if err == nil {
					checks[i] = ring.CheckValue()
				}
				made[i], errs[i] = created, err
			})
		}
		close(start)
		all.Wait()
		makers := 0
		for i := range callers {
			if errs[i] != nil || checks[i] != checks[0] {
				t.Fatalf("caller %d has key %s, caller 0 %s: %v", i, checks[i], checks[0], errs[i])
			}
			if made[i] {
				makers++
			}
		}
		if makers != 1 {
			t.Fatalf("%d of %d callers made the key", makers, callers)
		}
		wantOnlyTheKey(t, dir)
	}
}

// openIn makes this test binary a process that opens the folder it names.
const openIn = "BELPOORT_TEST_OPEN_IN"

func TestProcessesAtOnceShareOneKey(t *testing.T) {
	if dir := os.Getenv(openIn); dir != "" {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		ring, created, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(os.Stdout, "\nkey %s %v\n", ring.CheckValue(), created)
		return
	}
	dir := filepath.Join(t.TempDir(), "data")
	gate, opener, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	var commands []*exec.Cmd
	var outputs [4]bytes.Buffer
	for i := range outputs {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessesAtOnceShareOneKey$")
		command.Env = append(os.Environ(), openIn+"="+dir)
		command.Stdin, command.Stdout, command.Stderr = gate, &outputs[i], &outputs[i]
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		commands = append(commands, command)
	}
	if err := opener.Close(); err != nil {
		t.Fatal(err)
	}
	keys, makers := map[string]bool{}, 0
	for i, command := range commands {
		if err := command.Wait(); err != nil {
			t.Fatalf("%v: %s", err, &outputs[i])
		}
		for line := range strings.Lines(outputs[i].String()) {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "key" {
				keys[fields[1]] = true
				if fields[2] == "true" {
					makers++
				}
			}
		}
	}
	if len(keys) != 1 || makers != 1 {
		t.Errorf("keys %v, %d makers", keys, makers)
	}
}
