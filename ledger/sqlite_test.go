package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
)

// TestMain becomes the child that a test kills or starves, when the test says so.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		os.Exit(appendAndPrint(dir))
	}
	os.Exit(m.Run())
}

func open(t testing.TB, dir string, opts ledger.Options) *ledger.SQLite {
	t.Helper()
	l, err := ledger.OpenSQLite(t.Context(), dir, opts)
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestContract(t *testing.T) {
	ledgertest.Contract(t, func(t *testing.T) ledger.Ledger { return open(t, t.TempDir(), ledger.Options{}) })
}

// TestContractInSmallGenerations is the same, where facts come into the file's index by callee a few at a time.
func TestContractInSmallGenerations(t *testing.T) {
	ledgertest.Contract(t, func(t *testing.T) ledger.Ledger {
		return open(t, t.TempDir(), ledger.OfGenerations(5))
	})
}

func mustAppend(t testing.TB, l ledger.Ledger, facts ...ledger.Append) []ledger.Appended {
	t.Helper()
	got, err := l.Append(t.Context(), facts)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return got
}

// filled is a folder with a closed ledger of n facts.
func filled(t *testing.T, n int) string {
	t.Helper()
	return filledWith(t, n, ledger.Options{})
}

func filledWith(t *testing.T, n int, opts ledger.Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ledger")
	l := open(t, dir, opts)
	for i := range n {
		mustAppend(t, l, ledgertest.Fact(i%7, fmt.Sprint("key ", i)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantRefusal(t *testing.T, dir string, want error, says ...string) {
	t.Helper()
	l, err := ledger.OpenSQLite(t.Context(), dir, ledger.Options{})
	if err == nil {
		l.Close()
	}
	if !errors.Is(err, want) {
		t.Fatalf("opening gives %v, want %v", err, want)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEverythingIsThereAfterReopening(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, ledger.Options{})
	f := ledgertest.Fact(1, "a")
	f.Reference = "receipt"
	first := mustAppend(t, l, f)[0]
	id, err := l.DeploymentID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.ShipDecisions(t.Context(), "j", 0, 7, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ledger.db-wal")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Close left a connection open: the log is still there (%v)", err)
	}
	l = open(t, dir, ledger.Options{FullCheck: true})
	if again := mustAppend(t, l, f)[0]; !again.Repeated || again.Position != 1 || !again.RecordTime.Equal(first.RecordTime) {
		t.Errorf("repeat after reopening: %+v, first %+v", again, first)
	}
	if next := mustAppend(t, l, ledgertest.Fact(1, "b"))[0]; next.Position != 2 {
		t.Errorf("next after reopening: %+v", next)
	}
	if e, err := l.ByReference(t.Context(), "receipt"); err != nil || e.Position != 1 {
		t.Errorf("by reference: %+v, %v", e, err)
	}
	if place, err := l.Place(t.Context(), "j"); err != nil || place != 7 {
		t.Errorf("place %d, %v", place, err)
	}
	if now, err := l.DeploymentID(t.Context()); err != nil || now != id {
		t.Errorf("deployment id %x, was %x, %v", now, id, err)
	}
	if r, err := l.Verify(t.Context()); err != nil || !r.OK() || r.Sound != 2 {
		t.Errorf("Verify: %+v, %v", r, err)
	}
}

func TestRecordTimeNeverGoesBack(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 5, time.FixedZone("", 3600))
	opts := ledger.Options{Clock: func() time.Time { return now }}
	l := open(t, dir, opts)
	at := func(key string) time.Time { return mustAppend(t, l, ledgertest.Fact(1, key))[0].RecordTime }
	if got := at("a"); got != now.UTC() {
		t.Fatalf("record time %v, the clock said %v", got, now)
	}
	high := now.UTC()
	now = now.Add(-time.Hour)
	if got := at("b"); got != high {
		t.Fatalf("the clock went back, record time %v, want %v", got, high)
	}
	l.Close()
	l = open(t, dir, opts)
	if got := at("c"); got != high {
		t.Fatalf("the clock went back over a restart, record time %v, want %v", got, high)
	}
	now = now.Add(2 * time.Hour)
	if got := at("d"); got != now.UTC() {
		t.Fatalf("the clock caught up, record time %v, want %v", got, now)
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	mustAppend(t, open(t, dir, ledger.Options{}), ledgertest.Fact(1, "a"))
	for name, want := range map[string]os.FileMode{".": 0o700, "ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600, "ledger.lock": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, ledger.Options{})
	wantRefusal(t, dir, ledger.ErrInUse, dir, fmt.Sprint("process ", os.Getpid()))
	mustAppend(t, l, ledgertest.Fact(1, "a"))
	l.Close()
	open(t, dir, ledger.Options{})
}

func TestNewerSchemaIsLeftUntouched(t *testing.T) {
	dir := filled(t, 3)
	path := filepath.Join(dir, "ledger.db")
	alter(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	before := mustRead(t, path)
	wantRefusal(t, dir, ledger.ErrNewerSchema, "the ledger has schema 99, this binary knows up to 4: use a newer belpoort")
	if !bytes.Equal(before, mustRead(t, path)) {
		t.Error("the file was changed")
	}
}

// TestNotWritable uses paths that nobody can write, because root writes wherever permissions forbid it.
func TestNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, filepath.Join(file, "ledger"), ledger.ErrNotWritable, file)
	for _, name := range []string{"ledger.db", "ledger.lock"} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, dir, ledger.ErrNotWritable, filepath.Join(dir, name))
	}
}

func TestCorruptFileIsRefusedAndLeftAlone(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":        func([]byte) []byte { return nil },
		"garbage":      func(b []byte) []byte { return bytes.Repeat([]byte("garbage "), len(b)/8) },
		"short header": func(b []byte) []byte { return b[:50] },
		"cut off":      func(b []byte) []byte { return b[:4096] },
		"other magic":  func(b []byte) []byte { b[3] ^= 1; return b },
		"WAL marks":    func(b []byte) []byte { b[18], b[19] = 1, 1; return b },
		"page size":    func(b []byte) []byte { b[16], b[17] = 0, 3; return b },
		"last fact": func(b []byte) []byte {
			at := bytes.LastIndex(b, []byte("payload of key 39"))
			b[at] ^= 1
			return b
		},
		"all pages but the first": func(b []byte) []byte { clear(b[4096:]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t, 40)
			path := filepath.Join(dir, "ledger.db")
			spoiled := spoil(mustRead(t, path))
			if err := os.WriteFile(path, spoiled, 0o600); err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, dir, ledger.ErrCorrupt, path)
			if !bytes.Equal(spoiled, mustRead(t, path)) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOtherDatabaseIsRefused(t *testing.T) {
	dir := filled(t, 1)
	path := filepath.Join(dir, "ledger.db")
	alter(t, path, "DROP TABLE goose_db_version")
	wantRefusal(t, dir, ledger.ErrCorrupt, path, "not a ledger")
}

func TestFullCheckFindsWhatTheHeadDoesNotShow(t *testing.T) {
	dir := filledWith(t, 400, ledger.OfGenerations(5)) // the youngest facts are read in any case
	path := filepath.Join(dir, "ledger.db")
	b := mustRead(t, path)
	at := bytes.Index(b, []byte("payload of key 211")) / 4096 * 4096
	clear(b[at : at+8]) // the header of the page that holds the fact
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir, ledger.Options{})
	l.Close()
	_, err := ledger.OpenSQLite(t.Context(), dir, ledger.Options{FullCheck: true})
	if !errors.Is(err, ledger.ErrCorrupt) {
		t.Fatalf("opening with the full check gives %v, want %v", err, ledger.ErrCorrupt)
	}
}

// TestMissingDatabaseBesideItsLog: the log of a lost database must not be replayed into a new one.
func TestMissingDatabaseBesideItsLog(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ledger.db-wal"), []byte("facts"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, dir, ledger.ErrCorrupt, "ledger.db is missing")
	if got := string(mustRead(t, filepath.Join(dir, "ledger.db-wal"))); got != "facts" {
		t.Errorf("the log became %q", got)
	}
}

func TestInterruptedCreationIsDoneAgain(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"ledger.db.new", "ledger.db.new-wal"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half a database"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, open(t, dir, ledger.Options{}), ledgertest.Fact(1, "a"))
	left, _ := filepath.Glob(filepath.Join(dir, "*.new*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestLibcIsTheOneSQLiteAsksFor: the driver's C library is generated together with it, and upstream supports no other
// version than the one in its go.mod. Test binaries carry no list of modules, so the go command is asked.
func TestLibcIsTheOneSQLiteAsksFor(t *testing.T) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip("NOT CHECKED: no go command to ask for the versions of modernc.org/libc")
	}
	list := func(format, module string) string {
		out, err := exec.CommandContext(t.Context(), goCommand, "list", "-m", "-f", format, module).Output()
		if err != nil {
			t.Fatalf("go list -m %s: %v", module, err)
		}
		return strings.TrimSpace(string(out))
	}
	built := list("{{.Version}}", "modernc.org/libc")
	for line := range strings.Lines(string(mustRead(t, list("{{.GoMod}}", "modernc.org/sqlite")))) {
		if asked, found := strings.CutPrefix(strings.TrimSpace(line), "modernc.org/libc "); found {
			if asked != built {
				t.Fatalf("built with modernc.org/libc %s, modernc.org/sqlite asks for %s", built, asked)
			}
			return
		}
	}
	t.Fatal("modernc.org/sqlite does not ask for modernc.org/libc any more")
}
