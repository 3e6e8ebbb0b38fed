package disktest

import (
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Forgetful is a disk, for a test inside OwnMounts, that answers one fsync with EIO and does as Linux does then: the
// pages that were to be kept count as clean, reading still shows them, the next fsync succeeds, and a power cut takes
// them. It remembers what was synced and what was not by pages of 4 KiB; names are kept at once. Only other processes
// may use it, since one that waits in the kernel for itself would wait for ever.
type Forgetful struct {
	t      *testing.T
	mount  string
	server *fuse.Server
	root   *folder

	mu     sync.Mutex
	fail   int // the fsync that fails, counted from 1; 0 for none
	syncs  int
	failed string // the file whose fsync failed
}

// NewForgetful mounts an empty disk in folder dir whose fsync number fail gets EIO. It skips the test where FUSE is not
// permitted.
func NewForgetful(t *testing.T, dir string, fail int) *Forgetful {
	t.Helper()
	d := &Forgetful{t: t, mount: dir, fail: fail}
	d.root = &folder{disk: d}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	d.server, err = fusefs.Mount(dir, d.root, &fusefs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, DisableXAttrs: true, FsName: "forgetful", Logger: log.New(os.Stderr, "", 0)},
	})
	if err != nil {
		NotRun(t, "FUSE is not permitted: "+err.Error())
	}
	t.Cleanup(d.unmount)
	return d
}

// Dir is where the disk is mounted.
func (d *Forgetful) Dir() string { return d.mount }

// Failed names the file whose fsync failed, or gives "" when none did, and says how many fsyncs there were.
func (d *Forgetful) Failed() (name string, syncs int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed, d.syncs
}

// CutPower unmounts the disk and writes to folder to what is on it. Nobody may be using it.
func (d *Forgetful) CutPower(to string) {
	d.t.Helper()
	d.unmount()
	if err := d.root.save(to); err != nil {
		d.t.Fatal(err)
	}
}

func (d *Forgetful) unmount() {
	if d.server == nil {
		return
	}
	if err := syscall.Unmount(d.mount, syscall.MNT_DETACH); err != nil {
		d.t.Errorf("unmounting FUSE: %v", err)
	}
	d.server.Wait()
	d.server = nil
}

// sync counts an fsync, and says whether it succeeds.
func (d *Forgetful) sync(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs++
	if d.syncs == d.fail {
		d.failed = name
		return false
	}
	return true
}

type folder struct {
	fusefs.Inode
	disk *Forgetful
}

var (
	_ fusefs.NodeCreater  = (*folder)(nil)
	_ fusefs.NodeMkdirer  = (*folder)(nil)
	_ fusefs.NodeRenamer  = (*folder)(nil)
	_ fusefs.NodeUnlinker = (*folder)(nil)
	_ fusefs.NodeRmdirer  = (*folder)(nil)
	_ fusefs.NodeFsyncer  = (*folder)(nil)
)

// Create makes a file.
func (f *folder) Create(ctx context.Context, _ string, _, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	made := f.NewPersistentInode(ctx, &content{disk: f.disk, dirty: map[int64]bool{}}, fusefs.StableAttr{Mode: syscall.S_IFREG})
	out.Mode = mode
	return made, nil, fuse.FOPEN_KEEP_CACHE, 0
}

// Mkdir makes a folder.
func (f *folder) Mkdir(ctx context.Context, _ string, _ uint32, _ *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return f.NewPersistentInode(ctx, &folder{disk: f.disk}, fusefs.StableAttr{Mode: syscall.S_IFDIR}), 0
}

// Rename leaves the moving to the library.
func (f *folder) Rename(context.Context, string, fusefs.InodeEmbedder, string, uint32) syscall.Errno {
	return 0
}

// Unlink leaves the removing to the library.
func (f *folder) Unlink(context.Context, string) syscall.Errno { return 0 }

// Rmdir leaves the removing to the library.
func (f *folder) Rmdir(context.Context, string) syscall.Errno { return 0 }

// Fsync has nothing to do but to fail.
func (f *folder) Fsync(context.Context, fusefs.FileHandle, uint32) syscall.Errno {
	if !f.disk.sync("a folder") {
		return syscall.EIO
	}
	return 0
}

func (f *folder) save(to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for name, child := range f.Children() {
		path := filepath.Join(to, name)
		var err error
		switch node := child.Operations().(type) {
		case *folder:
			err = node.save(path)
		case *content:
			err = os.WriteFile(path, node.kept, 0o600)
		default:
			err = fmt.Errorf("%w: %s", fs.ErrInvalid, path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const page = 4096

// content is a file as it reads now, and as a power cut would leave it.
type content struct {
	fusefs.Inode
	disk      *Forgetful
	mu        sync.Mutex
	now, kept []byte
	dirty     map[int64]bool // pages written since they were synced, or were to be
}

var (
	_ fusefs.NodeOpener    = (*content)(nil)
	_ fusefs.NodeReader    = (*content)(nil)
	_ fusefs.NodeWriter    = (*content)(nil)
	_ fusefs.NodeGetattrer = (*content)(nil)
	_ fusefs.NodeSetattrer = (*content)(nil)
	_ fusefs.NodeFsyncer   = (*content)(nil)
)

// Open lets the kernel keep what it has read.
func (c *content) Open(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

// Read reads what was written, synced or not.
func (c *content) Read(_ context.Context, _ fusefs.FileHandle, into []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at = min(at, int64(len(c.now)))
	return fuse.ReadResultData(append([]byte(nil), c.now[at:min(at+int64(len(into)), int64(len(c.now)))]...)), 0
}

// Write writes without syncing.
func (c *content) Write(_ context.Context, _ fusefs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = resized(c.now, max(at+int64(len(data)), int64(len(c.now))))
	copy(c.now[at:], data)
	for p := at / page; p*page < at+int64(len(data)); p++ {
		c.dirty[p] = true
	}
	return uint32(len(data)), 0
}

// Getattr gives the size; everything else is nobody's business.
func (c *content) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	c.mu.Lock()
	defer c.mu.Unlock()
	out.Mode, out.Size = 0o600, uint64(len(c.now))
	return 0
}

// Setattr changes the size.
func (c *content) Setattr(ctx context.Context, f fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		c.mu.Lock()
		c.now = resized(c.now, int64(size))
		c.mu.Unlock()
	}
	return c.Getattr(ctx, f, out)
}

// Fsync keeps what was written since the last, or loses it.
func (c *content) Fsync(context.Context, fusefs.FileHandle, uint32) syscall.Errno {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, _ := c.Parent()
	if !c.disk.sync(name) {
		clear(c.dirty)
		return syscall.EIO
	}
	c.kept = resized(c.kept, int64(len(c.now)))
	for p := range c.dirty {
		if at := p * page; at < int64(len(c.now)) {
			copy(c.kept[at:min(at+page, int64(len(c.kept)))], c.now[at:])
		}
	}
	clear(c.dirty)
	return 0
}

// resized gives b another length; what is new is zero.
func resized(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}
