package keyring

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	keyFolder  = "keys"
	keyFile    = "deployment.key"
	keySize    = 32
	draftStart = ".deployment.key."
)

// ErrKeyFile says that the key file is there and must not be used. The error around it tells the file and the fault.
var ErrKeyFile = errors.New("refused")

// Open reads the deployment's key from keys/deployment.key under dir, and makes it, and the folders, when there is none:
// 32 random bytes, readable by their owner only, on disk before Open returns. created tells that this call made it. Of
// several calls at once, in one process or in several, one makes the key and all return it.
//
// A key file that others can read, that is a link or no plain file, or that does not hold a key, is refused with
// ErrKeyFile; so is a folder that others can write to. Nothing is repaired: who could read the key before still can.
func Open(dir string) (ring *Ring, created bool, err error) {
	secret, created, err := findKey(filepath.Clean(dir))
	if err == nil {
		ring, err = newRing(secret)
		clear(secret)
	}
	if err != nil {
		return nil, false, fmt.Errorf("deployment key: %w", err)
	}
	return ring, created, nil
}

func findKey(dir string) (secret []byte, created bool, err error) {
	folder := filepath.Join(dir, keyFolder)
	path := filepath.Join(folder, keyFile)
	for _, path := range []string{dir, folder} {
		if err := makeFolder(path); err != nil {
			return nil, false, err
		}
	}
	if err := checkFolder(folder); err != nil {
		return nil, false, err
	}
	secret, err = readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if created, err = makeKey(folder, path); err != nil {
			return nil, false, err
		}
		secret, err = readKey(path)
	}
	if err != nil {
		return nil, false, err
	}
	// Also for a key that was found: who made it may not have come to this yet, or never will.
	return secret, created, settle(folder)
}

func readKey(path string) ([]byte, error) {
	// Without O_NONBLOCK a pipe in the key's place would hold the start up for ever.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, refused(path, "is a symbolic link")
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, refused(path, "is no plain file")
	case mode.Perm()&0o077 != 0 && !mutantKeyReadable:
		return nil, refused(path, fmt.Sprintf("has mode %04o; others must have no access to it (0600)", mode.Perm()))
	case info.Size() != keySize:
		return nil, refused(path, fmt.Sprintf("has %d bytes, a key has %d", info.Size(), keySize))
	}
	secret := make([]byte, keySize)
	if _, err := io.ReadFull(file, secret); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if bytes.Equal(secret, make([]byte, keySize)) {
		return nil, refused(path, "holds zeros only")
	}
	return secret, nil
}

func refused(path, fault string) error { return fmt.Errorf("%w: %s %s", ErrKeyFile, path, fault) }

// makeKey puts a new key at path unless one is there by then: a link, unlike a rename, never replaces a file.
func makeKey(folder, path string) (created bool, err error) {
	draft, err := writeDraft(folder)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(draft) }()
	if mutantKeyReplaced {
		return true, os.Rename(draft, path)
	}
	err = os.Link(draft, path)
	if _, missing := os.Lstat(path); err != nil && missing == nil {
		return false, nil // another Open made the key, and may have swept this draft away
	}
	return err == nil, err
}

// writeDraft writes a new key, complete and synced, beside the place of the key.
func writeDraft(folder string) (path string, err error) {
	secret := make([]byte, keySize)
	defer clear(secret)
	rand.Read(secret)
	var suffix [8]byte
	rand.Read(suffix[:])
	path = filepath.Join(folder, draftStart+hex.EncodeToString(suffix[:]))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = file.Write(secret)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		_ = os.Remove(path)
		return "", err
	}
	return path, nil
}

// settle removes the drafts of an Open that died, each of which may be a copy of the key, and makes the folder's entries
// durable. It is called once there is a key, so no draft can become one any more.
func settle(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), draftStart) {
			continue
		}
		if err := os.Remove(filepath.Join(folder, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncFolder(folder)
}

// makeFolder makes path and what is missing above it, for the owner only, and makes their entries durable.
func makeFolder(path string) error {
	parent := filepath.Dir(path)
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := makeFolder(parent); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	found := err != nil
	// A folder that was found may stand in one that is not ours to read.
	if err := syncFolder(parent); err != nil && !(found && errors.Is(err, fs.ErrPermission)) {
		return err
	}
	return nil
}

// checkFolder refuses a folder in which others could put a key of their own in the place of ours.
func checkFolder(folder string) error {
	info, err := os.Stat(folder)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return refused(folder, "is no folder")
	case info.Mode().Perm()&0o022 != 0:
		return refused(folder, fmt.Sprintf("has mode %04o; others must not write to it (0700)", info.Mode().Perm()))
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
