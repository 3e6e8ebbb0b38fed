package rig

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisOptions say how a redis-server is set up. Its folder is private, its port a free one on 127.0.0.1, its default
// user has all rights and no password, and it writes no file unless told.
type RedisOptions struct {
	Config    []string // further lines of its configuration
	Users     []string // arguments of ACL SETUSER: name, then rules
	ReplicaOf *Redis
	Member    bool // of a Cluster, that knows of no other member and has no slots
}

// Redis is a redis-server of its own process, which ends with the test, also when that is killed. REDIS_SERVER in the
// environment names another program in its place, such as Valkey's.
type Redis struct {
	t       testing.TB
	folder  string
	port    int
	mode    []string // arguments after the configuration's name
	process *os.Process
	ended   chan struct{}
}

// StartRedis starts a server and waits until it answers.
func StartRedis(t testing.TB, o RedisOptions) *Redis {
	t.Helper()
	r := newRedis(t)
	lines := []string{
		"bind 127.0.0.1", "port " + strconv.Itoa(r.port), "dir " + r.folder, "logfile " + r.logFile(),
		"daemonize no", "protected-mode no", `save ""`, "appendonly no", "databases 4",
		"repl-diskless-sync yes", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1",
	}
	for _, user := range o.Users {
		lines = append(lines, "user "+user)
	}
	if o.ReplicaOf != nil {
		lines = append(lines, fmt.Sprintf("replicaof 127.0.0.1 %d", o.ReplicaOf.port))
	}
	if o.Member {
		lines = append(lines, "cluster-enabled yes", "cluster-node-timeout 5000", "cluster-port "+strconv.Itoa(redisPort(t)))
	}
	r.configure(append(lines, o.Config...))
	r.Start()
	return r
}

func newRedis(t testing.TB) *Redis {
	t.Helper()
	folder, err := newFolder("redis")
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{t: t, folder: folder, port: redisPort(t)}
	t.Cleanup(func() {
		r.Kill()
		_ = os.RemoveAll(folder)
	})
	return r
}

func redisPort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (r *Redis) configFile() string { return filepath.Join(r.folder, "redis.conf") }
func (r *Redis) logFile() string    { return filepath.Join(r.folder, "redis.log") }

func (r *Redis) configure(lines []string) {
	r.t.Helper()
	if err := os.WriteFile(r.configFile(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// Address is its host:port, the same over restarts.
func (r *Redis) Address() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

// Start starts it if it does not run, with what its folder holds, and waits until it answers.
func (r *Redis) Start() {
	r.t.Helper()
	if r.process != nil {
		return
	}
	program, err := exec.LookPath(cmp.Or(os.Getenv("REDIS_SERVER"), "redis-server"))
	if err != nil {
		r.t.Fatalf("this test needs redis-server (scripts/test-setup.sh installs it): %v", err)
	}
	cmd := exec.Command(program, append([]string{r.configFile()}, r.mode...)...)
	cmd.Dir = r.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the signal comes when the starting thread ends
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		r.t.Fatal(err)
	}
	r.process, r.ended = cmd.Process, ended
	r.awaitAnswer()
}

func (r *Redis) awaitAnswer() {
	r.t.Helper()
	client := r.Client()
	await(r.t, "redis-server's first answer", func() error {
		select {
		case <-r.ended:
			log, _ := os.ReadFile(r.logFile())
			r.t.Fatalf("redis-server ended at once:\n%s", log)
		default:
		}
		c, err := net.Dial("tcp", r.Address())
		if err != nil {
			return err
		}
		defer c.Close()
		return client.Ping(context.Background()).Err()
	})
}

// await tries until there is no error, for ten seconds.
func await(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %v", what, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Kill ends it as a power cut of its process would: SIGKILL.
func (r *Redis) Kill() {
	if r.process == nil {
		return
	}
	_ = r.process.Kill()
	<-r.ended
	r.process = nil
}

// Restart kills it and starts it again.
func (r *Redis) Restart() {
	r.t.Helper()
	r.Kill()
	r.Start()
}

// Pause stops it where it is: connections are accepted by the kernel, and never answered.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s syscall.Signal) {
	r.t.Helper()
	if r.process == nil {
		r.t.Fatal("redis-server does not run")
	}
	if err := r.process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// Client speaks to it as the default user. It is closed with the test.
func (r *Redis) Client() *redis.Client {
	client := redis.NewClient(&redis.Options{
		Addr: r.Address(), Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	r.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Do sends one command as the default user, and ends the test on an error.
func (r *Redis) Do(args ...any) any {
	r.t.Helper()
	client := r.Client()
	defer client.Close()
	reply, err := client.Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		r.t.Fatalf("%v: %v", args, err)
	}
	return reply
}

// Dump writes what it holds to its folder; every later start begins with that.
func (r *Redis) Dump() {
	r.t.Helper()
	r.Do("SAVE")
}

// ForgetDump lets later starts begin empty again.
func (r *Redis) ForgetDump() {
	r.t.Helper()
	if err := os.Remove(filepath.Join(r.folder, "dump.rdb")); err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
}
