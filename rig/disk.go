package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Disk is a small file system in memory, in a mount namespace of its own: only what is started on it sees it, and it is
// gone when its holder is.
type Disk struct {
	folder string
	holder *exec.Cmd
}

// hold mounts the disk, says so, and keeps the namespace.
const hold = `mount -t tmpfs -o "size=$2,mode=0777" small "$1" && echo mounted && exec sleep 1000000`

// NewDisk makes a disk of so many bytes for one test, and skips the test where this process may not mount.
func NewDisk(t testing.TB, size int64) *Disk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root may mount the small disk that this test fills")
	}
	folder, err := newFolder("disk")
	if err != nil {
		t.Fatal(err)
	}
	uid, gid, err := postgresUser()
	if err := errors.Join(err, openTo(folder, uid, gid)); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", hold, "hold", folder, strconv.FormatInt(size, 10))
	holder.Dir = "/"
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ended, err := startBound(holder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = holder.Process.Kill()
		<-ended
		_ = os.RemoveAll(folder)
	})
	said := make([]byte, len("mounted"))
	if _, err := out.Read(said); err != nil || string(said) != "mounted" {
		t.Skip("SKIPPED: this machine does not let the test mount the small disk that it fills")
	}
	return &Disk{folder: folder, holder: holder}
}

// command runs a program on the disk, as another user.
func (d *Disk) command(uid, gid uint32, name string, args []string) (string, []string) {
	return "nsenter", append([]string{"--mount=" + fmt.Sprintf("/proc/%d/ns/mnt", d.holder.Process.Pid), "--",
		"setpriv", "--reuid", fmt.Sprint(uid), "--regid", fmt.Sprint(gid), "--clear-groups", "--pdeathsig", "KILL", name}, args...)
}

// inside is where this process sees the disk.
func (d *Disk) inside(name string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", d.holder.Process.Pid), d.folder, name)
}

// Fill takes what space is left, and what becomes free while the disk is being filled.
func (d *Disk) Fill(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile(d.inside("ballast"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); ; {
		n, err := f.Write(chunk)
		if errors.Is(err, syscall.ENOSPC) && n == 0 {
			if len(chunk) == 1 {
				return
			}
			chunk = chunk[:len(chunk)/2]
			continue
		}
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// Free gives back what Fill has taken.
func (d *Disk) Free(t testing.TB) {
	t.Helper()
	if err := os.Remove(d.inside("ballast")); err != nil {
		t.Fatal(err)
	}
}
