package disktest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Image is an ext4 file system in a file, for a test inside OwnMounts.
type Image struct {
	t     *testing.T
	file  string
	mount string
}

// NewImage makes a file system of so many MiB in folder dir and mounts it. It skips the test where loop mounts are not
// permitted.
func NewImage(t *testing.T, dir string, mib int64) *Image {
	t.Helper()
	i := &Image{t: t, file: filepath.Join(dir, "image"), mount: filepath.Join(dir, "mount")}
	file, err := os.Create(i.file)
	if err == nil {
		err = errors.Join(file.Truncate(mib<<20), file.Close(), os.MkdirAll(i.mount, 0o700))
	}
	if err != nil {
		t.Fatal(err)
	}
	// Nothing is left for the kernel to initialise in the background.
	mkfs := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", i.file)
	if out, err := mkfs.CombinedOutput(); err != nil {
		NotRun(t, fmt.Sprintf("mkfs.ext4 (package e2fsprogs): %v: %s", err, out))
	}
	if err := i.tryMount(); err != nil {
		NotRun(t, "loop mounts are not permitted: "+err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(i.mount, 0) })
	return i
}

// Dir is where the file system is mounted.
func (i *Image) Dir() string { return i.mount }

// tryMount has mount(8) look for a free loop device, which the kernel takes back with the mount.
func (i *Image) tryMount() error {
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop", i.file, i.mount).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// CutPower puts in place of the file system what a power cut at this moment leaves of it, mounted again. Nobody may be
// using it: kill is called when the disk has been copied, to end those who were frozen meanwhile.
func (i *Image) CutPower(kill func()) {
	i.t.Helper()
	cut := i.file + ".cut"
	if err := i.copyAtRest(cut); err != nil {
		i.t.Fatal(err)
	}
	kill()
	for tries := 0; ; tries++ {
		err := syscall.Unmount(i.mount, 0)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EBUSY) || tries == 200 {
			i.t.Fatalf("unmount: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := os.Rename(cut, i.file); err != nil {
		i.t.Fatal(err)
	}
	if err := i.tryMount(); err != nil {
		i.t.Fatalf("after the cut: %v", err)
	}
}

// copyAtRest copies the file under the mounted file system, again until no write reached it meanwhile: what the kernel
// writes back by itself must not make of the copy a mixture of two moments.
func (i *Image) copyAtRest(to string) error {
	device, err := i.device()
	if err != nil {
		return err
	}
	for range 1000 {
		before, busy, err := writes(device)
		if err != nil {
			return err
		}
		if busy {
			time.Sleep(time.Millisecond)
			continue
		}
		if err := copySparse(i.file, to); err != nil {
			return err
		}
		if after, busy, err := writes(device); err != nil || after == before && !busy {
			return err
		}
	}
	return errors.New("the disk never came to rest")
}

func (i *Image) device() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[1] == i.mount && strings.HasPrefix(f[0], "/dev/loop") {
			return strings.TrimPrefix(f[0], "/dev/"), nil
		}
	}
	return "", fmt.Errorf("no loop device is mounted on %s", i.mount)
}

// writes gives the number of writes a device has done, and whether any request is under way.
// (https://docs.kernel.org/block/stat.html)
func writes(device string) (done string, busy bool, err error) {
	text, err := os.ReadFile("/sys/block/" + device + "/stat")
	if err != nil {
		return "", false, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 9 {
		return "", false, fmt.Errorf("/sys/block/%s/stat says %q", device, text)
	}
	return fields[4], fields[8] != "0", nil
}

const (
	seekData = 3
	seekHole = 4
)

// copySparse copies a file without its holes.
func copySparse(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	size, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.Truncate(size); err != nil {
		return err
	}
	for at := int64(0); at < size; {
		begin, err := in.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := in.Seek(begin, seekHole)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, begin), io.NewSectionReader(in, begin, end-begin)); err != nil {
			return err
		}
		at = end
	}
	return nil
}
