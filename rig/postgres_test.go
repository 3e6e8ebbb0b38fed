package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestDatabasesOfTheSharedServerAreSeparate(t *testing.T) {
	first, second := SharedPostgres(t).Database(t), SharedPostgres(t).Database(t)
	Run(t, first, "CREATE TABLE here (x int)")
	Run(t, second, "CREATE TABLE here (x int)", "INSERT INTO here VALUES (1)")
	Query(t, first, func(conn *pgx.Conn) error {
		var rows int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM here").Scan(&rows)
		if rows != 0 {
			t.Errorf("%d rows of another database", rows)
		}
		return err
	})
	if got := NameOf(As("someone", first)); got == "" || got == NameOf(second) {
		t.Errorf("database %q", got)
	}
}

// ask asks a database something that a server which lives answers at once.
func ask(t *testing.T, url string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var one int
	return conn.QueryRow(ctx, "SELECT 1").Scan(&one)
}

func TestStopPauseAndStart(t *testing.T) {
	s := NewPostgres(t, "work_mem=5MB")
	url := s.Database(t)
	Run(t, url, "CREATE TABLE kept (x int)")
	WaitFor(t, url, "SELECT current_setting('work_mem') = '5MB' AND current_setting('fsync') = 'on'")
	s.Pause()
	if err := ask(t, url); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("asking a server that is paused: %v", err)
	}
	s.Resume()
	WaitFor(t, url, "SELECT true")
	if err := s.Start(); err == nil {
		t.Error("a server that runs was started")
	}
	s.Pause()
	s.Stop()
	s.Stop()
	if err := ask(t, url); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("asking a server that is stopped: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	WaitFor(t, url, "SELECT count(*) = 0 FROM kept")
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	s := NewPostgres(t)
	s.Stop()
	s.settings = []string{"shared_buffers=nonsense"}
	if err := s.Start(); err == nil || !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("starting with a wrong setting: %v", err)
	}
}

func TestStandbyFollows(t *testing.T) {
	s := NewPostgres(t)
	url := s.Database(t)
	standby := s.Standby(t)
	Run(t, url, "CREATE TABLE new (x int)")
	there := standby.URL(NameOf(url))
	WaitFor(t, there, "SELECT pg_is_in_recovery() AND to_regclass('new') IS NOT NULL")
}

const asChild = "BELPOORT_RIG_CHILD"

// TestNothingOutlivesTheProcess: a process is killed while one of its servers runs and another one is paused.
func TestNothingOutlivesTheProcess(t *testing.T) {
	if os.Getenv(asChild) != "" {
		running, paused := NewPostgres(t), NewPostgres(t)
		fmt.Printf("\nrig %s %d %d\n", base.folder, running.process.Process.Pid, paused.process.Process.Pid)
		paused.Pause()
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesTheProcess$")
	child.Env = append(os.Environ(), asChild+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var folder string
	pids := make([]int, 2)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "rig %s %d %d", &folder, &pids[0], &pids[1]); err == nil {
			break
		}
	}
	_ = child.Wait()
	if folder == "" {
		t.Fatal("the child started nothing")
	}
	untilGone(pids)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, err := os.Stat(folder)
		alive := livingIn(folder)
		if os.IsNotExist(err) && len(alive) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("folder %s: %v; processes %v", folder, err, alive)
		}
	}
}

// livingIn gives the processes that work in a folder, or did before it was removed.
func livingIn(folder string) (pids []string) {
	all, _ := os.ReadDir("/proc")
	for _, p := range all {
		if at, err := os.Readlink("/proc/" + p.Name() + "/cwd"); err == nil && strings.HasPrefix(at, folder+"/") {
			pids = append(pids, p.Name())
		}
	}
	return pids
}
