package cache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/rig"
)

// noteCodec writes all of a note.
type noteCodec struct{}

const noteSize = 16 + 8 + 8 + 4

func (noteCodec) Append(dst []byte, n *note) ([]byte, error) {
	dst = append(dst, n.callee[:]...)
	dst = binary.BigEndian.AppendUint64(dst, n.position)
	dst = binary.BigEndian.AppendUint64(dst, uint64(n.read.UnixNano()))
	return binary.BigEndian.AppendUint32(dst, uint32(n.size)), nil
}

func (noteCodec) Decode(b []byte) (*note, error) {
	if len(b) != noteSize {
		return nil, errors.New("not a note")
	}
	return &note{
		callee: eligibility.CalleeToken(b), position: binary.BigEndian.Uint64(b[16:]),
		read: time.Unix(0, int64(binary.BigEndian.Uint64(b[24:]))), size: int(binary.BigEndian.Uint32(b[32:])),
	}, nil
}

// testSealer appends a MAC. It does not encrypt, and gives the bytes also where the MAC is bad, so that a store that does
// not listen to it believes what it should not.
type testSealer struct{ key string }

var errTestSeal = errors.New("bad MAC")

func (s testSealer) mac(callee eligibility.CalleeToken, plain []byte) []byte {
	h := hmac.New(sha256.New, []byte(s.key))
	h.Write(callee[:])
	h.Write(plain)
	return h.Sum(nil)
}

func (s testSealer) Seal(dst []byte, callee eligibility.CalleeToken, plain []byte) []byte {
	return append(append(dst, plain...), s.mac(callee, plain)...)
}

func (s testSealer) Open(dst []byte, callee eligibility.CalleeToken, sealed []byte) ([]byte, error) {
	if len(sealed) < sha256.Size {
		return append(dst, sealed...), errTestSeal
	}
	plain, mac := sealed[:len(sealed)-sha256.Size], sealed[len(sealed)-sha256.Size:]
	if !hmac.Equal(mac, s.mac(callee, plain)) {
		return append(dst, plain...), errTestSeal
	}
	return append(dst, plain...), nil
}

// unboundSealer seals for nobody in particular.
type unboundSealer struct{ testSealer }

func (s unboundSealer) Seal(dst []byte, _ eligibility.CalleeToken, plain []byte) []byte {
	return s.testSealer.Seal(dst, eligibility.CalleeToken{}, plain)
}

func (s unboundSealer) Open(dst []byte, _ eligibility.CalleeToken, sealed []byte) ([]byte, error) {
	return s.testSealer.Open(dst, eligibility.CalleeToken{}, sealed)
}

// redisOptions are those of most tests. A Look waits long, since the machine may be busy with other tests.
func redisOptions(url string) RedisOptions[*note] {
	return RedisOptions[*note]{
		URL: url, Deployment: "tests", Sealer: testSealer{"key"}, Codec: noteCodec{},
		Floors: NewMemory[*note](Options{}), Timeout: time.Second,
	}
}

func singleURL(r *rig.Redis) string { return "redis://" + r.Address() }

// openRedis opens a store that is closed with the test, and waits until it is served.
func openRedis(t testing.TB, o RedisOptions[*note]) *Redis[*note] {
	t.Helper()
	s := openAnyhow(t, o)
	if err := s.Health(); err != nil {
		t.Logf("at first: %v", err)
	}
	serving(t, s)
	return s
}

// openAnyhow does not wait.
func openAnyhow(t testing.TB, o RedisOptions[*note]) *Redis[*note] {
	t.Helper()
	s, err := OpenRedis(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// settle waits until what was offered is written or given up.
func settle(t testing.TB, s *Redis[*note]) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); s.writes.pending.Load() > 0; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("the writers do not finish")
		}
	}
}

// put puts a record and waits until it is written; on a busy machine that may take more than one attempt.
func put(t testing.TB, s *Redis[*note], n *note) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		before := s.writes.written.Load()
		took := s.Put(ctx, n)
		settle(t, s)
		switch {
		case took && s.writes.written.Load() > before:
			return
		case time.Now().After(deadline):
			t.Fatalf("not written: %+v, stats %+v", n, s.Stats())
		}
		time.Sleep(time.Millisecond)
	}
}

// fresh is a record that was just read.
func fresh(callee eligibility.CalleeToken, position uint64) *note {
	return &note{callee, position, time.Unix(0, time.Now().UnixNano()), 100}
}

// serving waits until the store is answered again.
func serving(t testing.TB, s *Redis[*note]) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(time.Millisecond) {
		ready := s.Health() == nil
		for _, l := range s.lanes {
			ready = ready && l.ready.Load() > 0
		}
		if ready {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Redis is not used again: %v, stats %+v", s.Health(), s.Stats())
		}
	}
}

// errorsTold keeps what OnError was told.
type errorsTold struct {
	mu  sync.Mutex
	all []error
}

func (e *errorsTold) tell(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, err)
}

func (e *errorsTold) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprint(e.all)
}
