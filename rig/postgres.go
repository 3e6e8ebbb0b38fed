package rig

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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	noPostgres  = "no PostgreSQL for the test (scripts/test-setup.sh installs it)"
	readyWithin = time.Minute
)

// Postgres is a PostgreSQL server with files of its own, as Debian's package brings it. It lets the superuser "postgres" in
// without a password, and keeps fsync on.
type Postgres struct {
	port     int
	folder   string
	data     string
	settings []string // NAME=VALUE
	disk     *Disk    // where its files are, nil for the machine's own
	log      *os.File

	mu      sync.Mutex
	process *exec.Cmd
	ended   <-chan struct{} // closed when the process has ended
}

var shared struct {
	start  sync.Once
	server *Postgres
	failed error
}

// template is a fresh cluster, which is faster to copy than to make.
var template struct {
	make   sync.Once
	data   string
	failed error
}

var databases atomic.Int64

// SharedPostgres is one server for all tests of the process that do not hurt it, each in a Database of its own.
func SharedPostgres(t testing.TB) *Postgres {
	t.Helper()
	shared.start.Do(func() { shared.server, shared.failed = newPostgres() })
	if shared.failed != nil {
		t.Fatalf("%s: %v", noPostgres, shared.failed)
	}
	return shared.server
}

// NewPostgres is a server for one test, which may kill, pause and configure it. Settings are written NAME=VALUE.
func NewPostgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	s, err := newPostgres(settings...)
	if err != nil {
		t.Fatalf("%s: %v", noPostgres, err)
	}
	t.Cleanup(s.remove)
	return s
}

func newPostgres(settings ...string) (*Postgres, error) {
	template.make.Do(makeTemplate)
	if template.failed != nil {
		return nil, template.failed
	}
	s, err := newPlace(settings)
	if err != nil {
		return nil, err
	}
	return s, s.begin()
}

// begin starts from a copy of the template.
func (s *Postgres) begin() error {
	if out, err := s.run("cp", "-a", template.data, s.data); err != nil {
		return fmt.Errorf("copying a cluster: %w: %s", err, out)
	}
	return s.Start()
}

// PostgresOn is a server for one test whose files lie all on a small disk.
func PostgresOn(t testing.TB, disk *Disk, settings ...string) *Postgres {
	t.Helper()
	template.make.Do(makeTemplate)
	if template.failed != nil {
		t.Fatalf("%s: %v", noPostgres, template.failed)
	}
	s, err := newPlace(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	s.disk, s.data = disk, filepath.Join(disk.folder, "data")
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	return s
}

func makeTemplate() {
	s, err := newPlace(nil)
	if err == nil {
		var out []byte
		if out, err = s.run(program("initdb"), "-D", s.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
			err = fmt.Errorf("initdb: %w: %s", err, out)
		}
	}
	if template.failed = err; err == nil {
		template.data = s.data
	}
}

// newPlace is a server without files.
func newPlace(settings []string) (*Postgres, error) {
	folder, err := newFolder("postgres")
	if err != nil {
		return nil, err
	}
	if os.Getuid() == 0 { // as which PostgreSQL refuses to run
		uid, gid, err := postgresUser()
		if err := errors.Join(err, openTo(folder, uid, gid)); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	return &Postgres{port: port, folder: folder, data: filepath.Join(folder, "data"), settings: settings, log: log}, err
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

// program is the newest of PostgreSQL's own that is installed.
func program(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return "/usr/lib/postgresql/*/bin/" + name
	}
	return found[len(found)-1]
}

func (s *Postgres) run(name string, args ...string) ([]byte, error) {
	cmd := s.command(name, args...)
	out, err := cmd.CombinedOutput()
	return bytes.TrimSpace(out), err
}

func (s *Postgres) command(name string, args ...string) *exec.Cmd {
	uid, gid, _ := postgresUser() // newPlace has looked
	if s.disk != nil {
		name, args = s.disk.command(uid, gid, name, args)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 && s.disk == nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return cmd
}

// Start starts a server that was stopped, on its old port, and returns when it lets clients in.
func (s *Postgres) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alive() {
		return errors.New("the server runs already")
	}
	args := []string{"-D", s.data, "-p", strconv.Itoa(s.port)}
	for _, setting := range slices.Concat([]string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=on",
		"shared_buffers=32MB", "max_connections=100"}, s.settings) {
		args = append(args, "-c", setting)
	}
	cmd := s.command(program("postgres"), args...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	ended, err := startBound(cmd)
	if err != nil {
		return err
	}
	s.process, s.ended = cmd, ended
	err = s.untilReady()
	if err != nil {
		s.kill()
	}
	return err
}

// Alive reports whether the server runs, which it ceases to do by itself when it cannot write its log.
func (s *Postgres) Alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alive()
}

// alive is for who holds mu.
func (s *Postgres) alive() bool {
	if s.process == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

func (s *Postgres) untilReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the server has ended: %s", s.said())
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w: %s", err, s.said())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *Postgres) said() []byte {
	text, _ := os.ReadFile(s.log.Name())
	return bytes.TrimSpace(text[max(0, len(text)-4096):])
}

// Stop takes the server and all its processes away at once, as a power cut of its machine would but for the page cache.
// It may be paused. Stopping a stopped server does nothing.
func (s *Postgres) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill()
}

func (s *Postgres) kill() {
	if !s.alive() {
		return
	}
	all := pauseAll(s.process.Process.Pid)
	signalAll(all, syscall.SIGKILL)
	<-s.ended
	untilGone(all[1:]) // they hold the shared memory that a start waits for
}

// Restart is Stop and Start.
func (s *Postgres) Restart() error {
	s.Stop()
	return s.Start()
}

// Pause has the server hang: the kernel goes on accepting connections and data, and nothing answers.
func (s *Postgres) Pause() { s.signal(func(pid int) { pauseAll(pid) }) }

// Resume ends a Pause.
func (s *Postgres) Resume() {
	s.signal(func(pid int) { signalAll(family(pid), syscall.SIGCONT) })
}

func (s *Postgres) signal(send func(pid int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alive() {
		send(s.process.Process.Pid)
	}
}

func (s *Postgres) remove() {
	s.Stop()
	_ = s.log.Close()
	_ = os.RemoveAll(s.folder)
}

// Port is where the server listens on 127.0.0.1.
func (s *Postgres) Port() int { return s.port }

// Data is the server's data folder.
func (s *Postgres) Data() string { return s.data }

// URL names a database, which need not exist, for the superuser.
func (s *Postgres) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: database}
	return u.String() + "?sslmode=disable"
}

// Database makes a new database and gives its URL.
func (s *Postgres) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprint("test", databases.Add(1))
	Run(t, s.URL("postgres"), "CREATE DATABASE "+name)
	return s.URL(name)
}

// NameOf is the database that a URL of this room names.
func NameOf(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}

// As is a database's URL for another role.
func As(role, databaseURL string) string {
	return strings.Replace(databaseURL, "postgres@", url.User(role).String()+"@", 1)
}

// Run executes statements, one by one, in the database at a URL.
func Run(t testing.TB, databaseURL string, statements ...string) {
	t.Helper()
	Query(t, databaseURL, func(conn *pgx.Conn) error {
		for _, statement := range statements {
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

// Query lends a connection to do, and fails the test by what do returns.
func Query(t testing.TB, databaseURL string, do func(*pgx.Conn) error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := do(conn); err != nil {
		t.Fatal(err)
	}
}

// WaitFor asks anew, on a connection of its own, until the answer to a question is true.
func WaitFor(t testing.TB, databaseURL, question string) {
	t.Helper()
	for deadline := time.Now().Add(readyWithin); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var yes bool
		Query(t, databaseURL, func(conn *pgx.Conn) error { return conn.QueryRow(t.Context(), question).Scan(&yes) })
		if yes {
			return
		}
	}
	t.Fatalf("never true: %s", question)
}

// Standby is a hot standby of the server, from a base backup, that follows it by streaming.
func (s *Postgres) Standby(t testing.TB) *Postgres {
	t.Helper()
	standby, err := newPlace(s.settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.remove)
	out, err := standby.run(program("pg_basebackup"), "-D", standby.data, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync",
		"-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "postgres")
	if err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	if err := standby.Start(); err != nil {
		t.Fatal(err)
	}
	return standby
}
