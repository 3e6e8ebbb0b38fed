package disktest

import (
	"bytes"
	"errors"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Writer is what writes while its power is cut.
type Writer interface {
	// Start gives the process that writes in folder dir until it is killed; on its standard output it says, one line
	// each, what it was told to be on disk.
	Start(dir string, cycle int) *exec.Cmd
	// Acknowledged takes such a line.
	Acknowledged(line string)
	// Check opens what the cut left in dir and compares it with everything acknowledged.
	Check(dir string) error
	// Forget is called before a cycle begins with an empty disk.
	Forget()
}

const controlBytes = 64 << 10

// freshEvery is after how many cycles one begins with an empty disk.
const freshEvery = 25

// CutPower lets the writer write in a file system of 64 MiB in folder own (see OwnMounts) and cuts its power, again and
// again, the disk of one cycle being what the last one left, but for an empty one now and then. To show that the cut is one, something is written without
// fsync before each, and must be lost in at least half of the cycles.
func CutPower(t *testing.T, own string, chance *rand.Rand, cycles iter.Seq[int], w Writer) {
	t.Helper()
	disk, done, lost, unsynced := NewImage(t, own, 64), 0, 0, 0
	begin := time.Now()
	for cycle := range cycles {
		done++
		gone, err := cutOnce(t, disk, chance, cycle, w)
		if gone {
			unsynced++
		}
		if err != nil {
			lost++
			if lost <= 3 {
				t.Errorf("cycle %d: %v", cycle, err)
			}
		}
		if err == nil && (cycle+1)%freshEvery != 0 {
			continue
		}
		w.Forget()
		if err := os.RemoveAll(filepath.Join(disk.Dir(), "data")); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d power cuts in %v; %d cost something acknowledged, %d what had not been synced",
		done, time.Since(begin).Round(time.Millisecond), lost, unsynced)
	if unsynced*2 < done {
		t.Errorf("only %d of %d cuts lost what had not been synced: they are no power cuts", unsynced, done)
	}
}

// cutOnce reports whether the cut took what was written without fsync.
func cutOnce(t *testing.T, disk *Image, chance *rand.Rand, cycle int, w Writer) (unsyncedGone bool, err error) {
	t.Helper()
	dir, control := filepath.Join(disk.Dir(), "data"), filepath.Join(disk.Dir(), "control")
	said, err := os.Create(filepath.Join(filepath.Dir(disk.Dir()), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	runtime.LockOSThread() // the parent-death signal comes when this thread ends
	defer runtime.UnlockOSThread()
	cmd := w.Start(dir, cycle)
	cmd.Stdout = said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waited := false
	kill := func() {
		if !waited {
			waited = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	defer kill()
	if chance.IntN(4) > 0 { // else the cut may come before anything was said, in opening or recovery
		untilSaid(t, cmd, said.Name())
	}
	if err := os.WriteFile(control, bytes.Repeat([]byte("x"), controlBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(chance.IntN(40_000)) * time.Microsecond)
	freeze(t, cmd)
	takeLines(t, said.Name(), w.Acknowledged)
	disk.CutPower(kill)
	left, err := os.ReadFile(control)
	gone := err != nil || len(left) != controlBytes || left[0] != 'x'
	if err := os.RemoveAll(control); err != nil {
		t.Fatal(err)
	}
	return gone, w.Check(dir)
}

func untilSaid(t *testing.T, cmd *exec.Cmd, file string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if info, err := os.Stat(file); err == nil && info.Size() > 0 {
			return
		}
		var status syscall.WaitStatus
		if pid, _ := syscall.Wait4(cmd.Process.Pid, &status, syscall.WNOHANG, nil); pid != 0 {
			t.Fatalf("the writer ended with status %d before it said anything", status.ExitStatus())
		}
	}
	t.Fatal("the writer says nothing")
}

// freeze stops a process, and returns when none of its threads is in the kernel: so whatever it was told is in its
// output, and it writes nothing more.
func freeze(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatalf("stopping the writer: %v", err)
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || !status.Stopped() {
			t.Fatalf("the writer did not stop: %v, status %d", err, status.ExitStatus())
		}
		return
	}
}

// takeLines leaves out a line that was cut short, which nobody was told.
func takeLines(t *testing.T, file string, take func(string)) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if whole, ok := strings.CutSuffix(line, "\n"); ok {
			take(whole)
		}
	}
}
