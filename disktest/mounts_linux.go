package disktest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideEnv names the folder that the process with mounts of its own works in.
const insideEnv = "BELPOORT_TEST_INSIDE"

// OwnMounts runs the calling test, which must be no subtest, once more in a process whose mounts nobody else sees and
// which vanish with it. There it gives a folder in memory of at most mib MiB, and true. In the process that asked it
// gives false, after the other has ended and its fate has become this test's. Loop devices must be gone by then.
func OwnMounts(t *testing.T, mib int) (dir string, inside bool) {
	t.Helper()
	if dir := os.Getenv(insideEnv); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
			t.Fatalf("mount a tmpfs: %v", err)
		}
		return dir, true
	}
	if os.Geteuid() != 0 {
		NotRun(t, "mounting needs root")
	}
	dir = t.TempDir()
	runInside(t, dir)
	wantNoLoops(t, dir)
	return "", false
}

func runInside(t *testing.T, dir string) {
	t.Helper()
	runtime.LockOSThread() // the parent-death signal comes when this thread ends
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(withoutEnd(t), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=0")
	cmd.Env = append(os.Environ(), insideEnv+"="+dir)
	if os.Getenv("GORACE") == "" {
		cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0") // else every process that it starts ends a second late
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		NotRun(t, "the kernel gives no mount namespace: "+err.Error())
	}
	err := cmd.Wait()
	switch ran := said.String(); {
	case err != nil:
		t.Fatalf("inside: %v\n%s", err, ran)
	case strings.Contains(ran, "--- SKIP: "+t.Name()):
		t.Skip(ran)
	case !strings.Contains(ran, "--- PASS: "+t.Name()):
		t.Fatalf("inside, the test did not run:\n%s", ran)
	default:
		t.Log(ran)
	}
}

// withoutEnd lets a soak run as long as the test that asked for it.
func withoutEnd(t *testing.T) context.Context {
	if end, ok := t.Deadline(); ok {
		ctx, cancel := context.WithDeadline(context.Background(), end.Add(-time.Second))
		t.Cleanup(cancel)
		return ctx
	}
	return t.Context()
}

// wantNoLoops wants every loop device on a file in dir to be let go of; the kernel does that when the last mount ends.
func wantNoLoops(t *testing.T, dir string) {
	t.Helper()
	var left []string
	for range 100 {
		left = left[:0]
		files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
		for _, file := range files {
			if backing, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(backing), dir+"/") {
				left = append(left, file)
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("loop devices were left behind: %v", left)
}
