package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/ledger"
)

// server is a private PostgreSQL, on a free port of the loopback address, as Debian's package brings it and with fsync on.
type server struct {
	folder, data string
	port         int
	log          *os.File
	process      *exec.Cmd
}

// shared serves all tests that do not hurt it, each in a database of its own. Every test server's files lie in one
// folder that TestMain removes.
var shared struct {
	start  sync.Once
	folder string
	server *server
	failed error
	names  atomic.Int64
}

func stopShared() {
	if shared.server != nil {
		_ = shared.server.kill()
	}
	if shared.folder != "" {
		_ = os.RemoveAll(shared.folder)
	}
}

func sharedServer(t testing.TB) *server {
	t.Helper()
	shared.start.Do(func() {
		if shared.folder, shared.failed = os.MkdirTemp("", "belpoort-postgres"); shared.failed != nil {
			return
		}
		shared.server, shared.failed = newServer(shared.folder)
	})
	if shared.failed != nil {
		t.Fatalf("no PostgreSQL for the tests (scripts/test-setup.sh installs it): %v", shared.failed)
	}
	return shared.server
}

// ownServer is for a test that kills, stops or configures its server.
func ownServer(t testing.TB) *server {
	t.Helper()
	folder, err := os.MkdirTemp("", "belpoort-postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	s, err := newServer(folder)
	if err != nil {
		t.Fatalf("no PostgreSQL for the test (scripts/test-setup.sh installs it): %v", err)
	}
	t.Cleanup(func() { _ = s.kill() })
	return s
}

func newServer(folder string) (*server, error) {
	if err := ownedByPostgres(folder); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, err
	}
	s := &server{folder: folder, data: filepath.Join(folder, "data"), log: log}
	initdb, err := s.command("initdb", "-D", s.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return nil, err
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	return s, s.start()
}

// command is one of PostgreSQL's own programs, as a user that it accepts: it refuses to run as root.
func (s *server) command(name string, args ...string) (*exec.Cmd, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("no /usr/lib/postgresql/*/bin/%s", name)
	}
	cmd := exec.Command(found[len(found)-1], args...)
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	uid, gid, err := postgresUser()
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
		return cmd, err
	}
	return cmd, nil
}

func postgresUser() (uid, gid uint32, err error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return 0, 0, err
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	group, groupErr := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(id), uint32(group), errors.Join(err, groupErr)
}

func ownedByPostgres(folder string) error {
	if os.Getuid() != 0 {
		return nil
	}
	// scripts/test.sh makes the folder above with mode 0700.
	if above := filepath.Dir(folder); above != "/tmp" {
		if err := os.Chmod(above, 0o711); err != nil {
			return err
		}
	}
	uid, gid, err := postgresUser()
	if err != nil {
		return err
	}
	return os.Chown(folder, int(uid), int(gid))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (s *server) start() error {
	cmd, err := s.command("postgres", "-D", s.data, "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=on", "-c", "shared_buffers=32MB", "-c", "max_connections=60")
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.process = cmd
	return s.untilReady()
}

func (s *server) untilReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() != nil {
			said, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("not ready: %w\n%s", err, bytes.TrimSpace(said))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// kill takes the server and all its processes away at once, as a power cut of the database's machine would but for the
// page cache. Backends are children in groups of their own, and all hold the shared memory that a restart waits for.
func (s *server) kill() error {
	if s.process == nil {
		return nil
	}
	s.signal(syscall.SIGKILL)
	err := s.process.Wait()
	s.process = nil
	return err
}

// signal reaches the server and its children.
func (s *server) signal(sig syscall.Signal) {
	pids := append([]int{s.process.Process.Pid}, childrenOf(s.process.Process.Pid)...)
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
}

func childrenOf(pid int) (children []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, word := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			children = append(children, child)
		}
	}
	return children
}

func (s *server) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: database}
	return u.String() + "?sslmode=disable"
}

// database makes a new one and gives its URL.
func (s *server) database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprint("test", shared.names.Add(1))
	s.run(t, "postgres", "CREATE DATABASE "+name)
	return s.url(name)
}

// run executes statements as the superuser.
func (s *server) run(t testing.TB, database string, statements ...string) {
	t.Helper()
	query(t, s.url(database), func(conn *pgx.Conn) error {
		for _, statement := range statements {
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

func query(t testing.TB, url string, do func(*pgx.Conn) error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := do(conn); err != nil {
		t.Fatal(err)
	}
}

func openPostgres(t testing.TB, url string, opts ledger.Options) *ledger.Postgres {
	t.Helper()
	l, err := ledger.OpenPostgres(t.Context(), url, opts)
	if err != nil {
		t.Fatalf("OpenPostgres: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
