package permit

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// DefaultLead is how long a new key waits before it signs, for its file to be copied to the other nodes.
	DefaultLead = 10 * time.Minute
	// MaxLead bounds that wait.
	MaxLead = 30 * 24 * time.Hour
	// overlap is how long the old key may still sign after the new one has begun: by then every node has looked at its
	// file, and clocks are right to a second or so.
	overlap = time.Minute
)

// Rotation tells what Rotate did.
type Rotation struct {
	Old, New PublicKey
	// Gone is when the last permit of the old key can no longer be reported.
	Gone time.Time
}

// Rotate adds a random key to the file that signs from now + lead on, 0 to MaxLead, and gives the one before it an end.
// Whoever has the file open takes it up within a second; other nodes need a copy of it within the lead, or what they sign
// is refused as RetiredKey a minute after it. With a lead of 0 that is at once.
//
// Old keys stay to check permits with, without their secrets once they have ended; the oldest goes when there are 256. To
// distrust a key at once, take its entry out of the file. A rotation that has not begun must begin before the next.
func Rotate(path string, now time.Time, lead time.Duration) (Rotation, error) {
	if lead < 0 || lead > MaxLead {
		return Rotation{}, fmt.Errorf("permit keys: lead: must be 0 to %v", MaxLead)
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return Rotation{}, fmt.Errorf("permit keys: %w", err)
	}
	defer unlock()
	done, err := rotate(path, now.UTC().Truncate(time.Millisecond), lead)
	if err != nil {
		return Rotation{}, fmt.Errorf("permit keys: %w", err)
	}
	return done, nil
}

func rotate(path string, now time.Time, lead time.Duration) (Rotation, error) {
	set, err := readKeyFile(path)
	if err != nil {
		return Rotation{}, err
	}
	old := set.newest()
	if old.From.After(now) {
		return Rotation{}, fmt.Errorf("%s: a rotation is under way: key %s begins at %s", path, old.ID, old.From.Format(time.RFC3339))
	}
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	next := newKey(seed, now.Add(lead))
	clear(seed)
	for i := range set.keys {
		if k := &set.keys[i]; k.Until.IsZero() {
			k.Until = next.From.Add(overlap)
		} else if !now.Before(k.Until) {
			k.secret = nil
		}
	}
	keys, err := withRoom(set.keys, now)
	if err != nil {
		return Rotation{}, fmt.Errorf("%s: %w", path, err)
	}
	data, err := marshalKeys(append(keys, next))
	if err != nil {
		return Rotation{}, err
	}
	done := Rotation{Old: old.PublicKey, New: next.PublicKey, Gone: old.gone()}
	return done, place(path, data, func(draft string) error { return os.Rename(draft, path) })
}

// gone is when the last permit of a key that has an end can no longer be reported.
func (k PublicKey) gone() time.Time { return k.Until.Add(MaxReport + LateReport) }

// withRoom lets the oldest keys go that stand in the way of one more.
func withRoom(keys []key, now time.Time) ([]key, error) {
	for len(keys) >= maxKeys {
		if now.Before(keys[0].gone()) {
			return nil, fmt.Errorf("holds %d keys whose permits may still be reported; wait until %s", len(keys), keys[0].gone().Format(time.RFC3339))
		}
		keys = keys[1:]
	}
	return append([]key(nil), keys...), nil
}

const draftStart = ".permit-keys-"

// place writes a draft beside path, on disk and for its owner only, lets put bring it there, and makes that durable. The
// folder must be locked: a draft found in it is of a process that died, and holds secrets.
func place(path string, data []byte, put func(draft string) error) error {
	folder := filepath.Dir(path)
	if err := sweep(folder); err != nil {
		return err
	}
	draft, err := os.CreateTemp(folder, draftStart+"*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	_, err = draft.Write(data)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := put(draft.Name()); err != nil {
		return err
	}
	return onFolder(folder, (*os.File).Sync)
}

func sweep(folder string) error {
	entries, err := os.ReadDir(folder)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), draftStart) {
			err = errors.Join(err, os.Remove(filepath.Join(folder, entry.Name())))
		}
	}
	return err
}

func onFolder(folder string, do func(*os.File) error) error {
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(do(opened), opened.Close())
}

// lockFolder keeps other writers of a key file out, of this process or another, until it is unlocked.
func lockFolder(folder string) (unlock func(), err error) {
	opened, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(opened.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return func() { _ = opened.Close() }, nil
}

// openPlain does not wait for the other end of a pipe.
func openPlain(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
