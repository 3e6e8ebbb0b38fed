// Package rig sets up the real servers that tests need, on loopback with free ports, and takes them away again. It knows
// how to start, stop, pause and disturb them, and must not know what the product does with them.
//
// Whatever it starts dies with the test process, however that ends: each server by the kernel's parent-death signal, and
// its files, as well as what was paused, by a sweeper that outlives the process by a moment.
package rig

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// base is the folder of everything that this process starts.
var base struct {
	once    sync.Once
	folder  string
	sweeper io.WriteCloser // kept, never closed: the kernel does when the process ends
	failed  error
}

// sweep waits until its input ends, which it does when the test process does, then kills what still lives in the folder
// and removes it.
const sweep = `cat >/dev/null
for process in /proc/[0-9]*; do
	case $(readlink "$process/cwd") in "$1"/*) kill -9 "${process#/proc/}" ;; esac
done
for try in 1 2 3 4 5; do rm -rf "$1" && exit; sleep 0.2; done`

// newFolder makes a folder that lives no longer than the test process.
func newFolder(name string) (string, error) {
	base.once.Do(func() {
		if base.folder, base.failed = os.MkdirTemp("", "belpoort-rig"); base.failed == nil {
			base.sweeper, base.failed = startSweeper(base.folder)
		}
	})
	if base.failed != nil {
		return "", base.failed
	}
	return os.MkdirTemp(base.folder, name)
}

func startSweeper(folder string) (io.WriteCloser, error) {
	sweeper := exec.Command("sh", "-c", sweep, "sweep", folder)
	sweeper.Dir = "/"
	sweeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's interrupt is not for it
	input, err := sweeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	return input, sweeper.Start()
}

// openTo lets another user reach a folder, and gives it to him.
func openTo(folder string, uid, gid uint32) error {
	for above := filepath.Dir(folder); above != "/" && above != filepath.Clean(os.TempDir()+"/.."); above = filepath.Dir(above) {
		is, err := os.Stat(above)
		if err != nil {
			return err
		}
		if is.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(above, is.Mode().Perm()|0o001); err != nil {
				return err
			}
		}
	}
	return os.Chown(folder, int(uid), int(gid))
}

// freePort is one that nobody listens on. It lies below those that the kernel gives to outgoing connections, so that none
// of them takes it while its server is away.
func freePort() (int, error) {
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port on 127.0.0.1 between 20000 and 32000")
}

// startBound starts a process, and keeps the thread that did: the parent-death signal comes when that thread ends.
func startBound(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	started, end := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(end)
	}()
	return end, <-started
}

// family is a process and its children.
func family(pid int) []int {
	all := []int{pid}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, word := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// pauseAll stops a process before its children, so that none is born meanwhile.
func pauseAll(pid int) []int {
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	all := family(pid)
	signalAll(all, syscall.SIGSTOP)
	return all
}

func signalAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
}

// untilGone waits for processes that were killed. A zombie is gone: it holds nothing.
func untilGone(pids []int) {
	for _, pid := range pids {
		for range 1000 {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil || strings.Contains(string(text), ") Z ") {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
}
