package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belpoort/belpoort/rig"
)

// liar stands between stores and a Redis, understands what they say, and lies about records.
type liar struct {
	mu      sync.Mutex
	dice    *rand.Rand
	history map[string][]string // every value ever sent to be set, by key
	keys    []string
	told    [lieKinds]int
}

type lie int

const (
	truth       lie = iota
	oldValue        // an earlier value of the key, or one whose SET was dropped
	otherKey        // a value of another key
	flippedBit      // of the value
	shortened       // a well-formed reply with fewer bytes
	lengthened      // and with more
	nothing         // there is no such key
	swapped         // with the reply to the next GET
	droppedSet      // answered OK
	wrongHolder     // the hold is another's, or is given though it is not
	torn            // the reply ends in the middle, and so does the connection's sense
	lieKinds
)

// asked is what the liar remembers of a command until its reply.
type asked struct {
	key      string // of a GET of a record
	drop     bool   // a SET that the server was not told
	holdAsk  bool
	setValue bool
}

// wire is the liar on one connection. Replies come in the order of the commands.
type liarWire struct {
	*liar
	up, down []byte // incomplete
	waiting  []asked
	held     []byte // a reply waiting to be swapped with that of the next GET
	between  []byte // the replies between the two
	dead     bool
}

func (l *liar) wire() rig.Wire {
	w := &liarWire{liar: l}
	return rig.Wire{ToServer: w.commands, ToClient: w.replies}
}

// reply cuts the first whole RESP value off b.
func reply(b []byte) (size int, whole bool) {
	end := bytes.Index(b, []byte("\r\n"))
	if end < 0 {
		return 0, false
	}
	size = end + 2
	n, _ := strconv.Atoi(string(b[1:end]))
	switch b[0] {
	case '$':
		if n >= 0 {
			size += n + 2
		}
		return size, size <= len(b)
	case '*':
		for range n {
			part, whole := reply(b[size:])
			if !whole {
				return 0, false
			}
			size += part
		}
	}
	return size, true
}

// words are the bulk strings of a command.
func words(command []byte) (all []string) {
	for at := bytes.Index(command, []byte("\r\n")) + 2; at < len(command); {
		size, _ := reply(command[at:])
		one := command[at : at+size]
		all = append(all, string(one[bytes.Index(one, []byte("\r\n"))+2:len(one)-2]))
		at += size
	}
	return all
}

func bulk(value string) []byte { return fmt.Appendf(nil, "$%d\r\n%s\r\n", len(value), value) }

func (w *liarWire) commands(chunk []byte) (out []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = append(w.up, chunk...)
	for {
		size, whole := reply(w.up)
		if len(w.up) == 0 || !whole {
			return out
		}
		out = append(out, w.command(w.up[:size])...)
		w.up = w.up[size:]
	}
}

func (w *liarWire) command(raw []byte) []byte {
	word, a := words(raw), asked{}
	isRecord := len(word) > 1 && strings.HasSuffix(word[1], recordAfter)
	switch name := strings.ToUpper(word[0]); {
	case name == "GET" && isRecord:
		a.key = word[1]
	case name == "SET" && isRecord:
		a.setValue = true
		if w.history[word[1]] == nil {
			w.keys = append(w.keys, word[1])
		}
		w.history[word[1]] = append(w.history[word[1]], word[2])
		if w.dice.IntN(20) == 0 {
			w.told[droppedSet]++
			a.drop = true
			raw = []byte("*2\r\n$3\r\nGET\r\n$2\r\nno\r\n")
		}
	case name == "SET" && strings.HasSuffix(word[1], holdAfter):
		a.holdAsk = true
	}
	w.waiting = append(w.waiting, a)
	return raw
}

func (w *liarWire) replies(chunk []byte) (out []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return nil
	}
	w.down = append(w.down, chunk...)
	for !w.dead {
		size, whole := reply(w.down)
		if len(w.down) == 0 || !whole {
			return out
		}
		raw := append([]byte(nil), w.down[:size]...)
		w.down = w.down[size:]
		a := w.waiting[0]
		w.waiting = w.waiting[1:]
		out = append(out, w.answer(a, raw)...)
	}
	return out
}

func (w *liarWire) answer(a asked, raw []byte) []byte {
	switch {
	case a.drop:
		raw = []byte("+OK\r\n")
	case a.holdAsk && w.dice.IntN(20) == 0:
		w.told[wrongHolder]++
		if raw = []byte("$-1\r\n"); w.dice.IntN(2) == 0 {
			raw = bulk("0123456789abcdef")
		}
	case a.key != "" && raw[1] != '-' && w.held == nil:
		raw = w.lieAbout(a, raw)
	}
	switch {
	case w.held == nil:
		return raw
	case &w.held[0] == &raw[0]:
	case a.key == "":
		w.between = append(w.between, raw...)
	default: // this is the reply to swap it with
		raw = append(append(raw, w.between...), w.held...)
		w.held, w.between = nil, nil
		return raw
	}
	return nil
}

// nextGet is the key of the next GET of a record, "" for none.
func (w *liarWire) nextGet() string {
	for i := range w.waiting {
		if w.waiting[i].key != "" {
			return w.waiting[i].key
		}
	}
	return ""
}

// lieAbout changes one record's reply, and counts only what is not the truth.
func (w *liarWire) lieAbout(a asked, raw []byte) []byte {
	value := words(append([]byte("*1\r\n"), raw...))[0]
	told, kind := value, lie(0)
	if w.dice.IntN(4) == 0 {
		kind = 1 + lie(w.dice.IntN(int(swapped)))
	}
	switch kind {
	case truth:
		if w.dice.IntN(1500/raceSlowdown) == 0 {
			w.told[torn]++
			w.dead = true
			return raw[:w.dice.IntN(len(raw))]
		}
	case oldValue:
		told = w.history[a.key][w.dice.IntN(len(w.history[a.key]))]
	case otherKey:
		other := w.keys[w.dice.IntN(len(w.keys))]
		told = w.history[other][w.dice.IntN(len(w.history[other]))]
		if other == a.key {
			kind = oldValue
		}
	case flippedBit:
		b := []byte(value)
		b[w.dice.IntN(len(b))] ^= 1 << w.dice.IntN(8)
		told = string(b)
	case shortened:
		told = value[:w.dice.IntN(len(value))]
	case lengthened:
		told = value + value[:1+w.dice.IntN(20)]
	case nothing:
		w.told[nothing]++
		return []byte("$-1\r\n")
	case swapped:
		if next := w.nextGet(); next != "" && next != a.key {
			w.told[swapped]++
			w.held = raw
		}
		return raw
	}
	if told != value {
		w.told[kind]++
	}
	return bulk(told)
}

// soaking tells that the long forms of tests are wanted.
func soaking() bool { return os.Getenv("SOAK") != "" && os.Getenv("SOAK") != "0" }

// TestT05RedisLiar: a Redis that lies in every way about records never makes a store return one that was not put for the
// callee, or is below the floor; and what the store notices, it counts. One store's sealer is bound to the callee, the
// other's is not, so that there the record's own callee must tell. Mutants: mutant_cache_redis_no_seal,
// mutant_cache_redis_no_subject, mutant_cache_redis_no_floor.
func TestT05RedisLiar(t *testing.T) {
	seed, looks := rand.Uint64(), 50_000/raceSlowdown
	if soaking() {
		looks = 1_000_000
	}
	t.Logf("seed %d, %d looks", seed, looks)
	real := rig.StartRedis(t, rig.RedisOptions{})
	for database, sealer := range []Sealer{testSealer{"key"}, unboundSealer{testSealer{"key"}}} {
		l := &liar{dice: rand.New(rand.NewPCG(seed, uint64(database))), history: map[string][]string{}}
		proxy := rig.StartProxy(t, real.Address())
		proxy.Rewrite(l.wire)
		o := redisOptions(fmt.Sprintf("redis://%s/%d", proxy.Address(), database))
		o.Sealer = sealer
		o.Timeout = 100 * time.Millisecond
		l.checkCounts(t, database == 1, truthfulness(t, openRedis(t, o), seed, looks/2))
	}
}

// truthfulness looks from many goroutines, with records put and floors raised meanwhile.
func truthfulness(t *testing.T, s *Redis[*note], seed uint64, looks int) Stats {
	const callees, workers = 64, 16
	var raised [callees]atomic.Uint64
	var offered sync.Map // note -> true
	var wrong, left atomic.Int64
	left.Store(int64(looks))
	var all sync.WaitGroup
	for worker := range workers {
		r := rand.New(rand.NewPCG(seed, 1000+uint64(worker)))
		all.Go(func() {
			for wrong.Load() < 5 {
				i := r.IntN(callees)
				callee, floor := token(uint64(i)), raised[i].Load()
				switch r.IntN(20) {
				case 0:
					s.Raise(callee, floor+1)
					for was := raised[i].Load(); was <= floor && !raised[i].CompareAndSwap(was, floor+1); was = raised[i].Load() {
					}
				case 1, 2, 3:
					n := fresh(callee, floor+uint64(r.IntN(3)))
					n.size = r.IntN(1 << 20)
					offered.Store(*n, true)
					s.Put(ctx, n)
				default:
					if s.away() {
						time.Sleep(time.Millisecond)
						continue
					}
					if left.Add(-1) < 0 {
						return
					}
					found := s.Look(ctx, callee, Hold{ID: call(byte(1 + worker)), For: time.Duration(r.IntN(2)) * time.Millisecond})
					if !found.Found {
						continue
					}
					if _, was := offered.Load(*found.Record); !was || found.Record.callee != callee || found.Record.position < floor {
						wrong.Add(1)
						t.Errorf("seed %d: callee %x, floor %d: got %+v, which was put: %v", seed, callee, floor, *found.Record, was)
					}
				}
			}
		})
	}
	all.Wait()
	return s.Stats()
}

// checkCounts: every lie that a seal or the subject must tell was counted as such, but for those about which nobody was
// told any more because the reply was given up, and for pairs of swapped replies of which one was a miss.
func (l *liar) checkCounts(t *testing.T, unbound bool, s Stats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("told: %v; stats %+v", l.told, s)
	for kind := oldValue; kind < lieKinds; kind++ {
		if l.told[kind] == 0 {
			t.Errorf("lie %d was never told", kind)
		}
	}
	lies := uint64(l.told[flippedBit] + l.told[shortened] + l.told[lengthened])
	foreign := uint64(l.told[otherKey])
	if !unbound {
		lies, foreign = lies+foreign, 0
	}
	lost := s.Timeouts + s.Failed + uint64(l.told[torn])*maxBatch
	swaps := 2 * uint64(l.told[swapped])
	if s.BadSeal+lost < lies || s.BadSeal+s.WrongCallee > lies+foreign+swaps {
		t.Errorf("%d bad seals of %d lies and %d swaps", s.BadSeal, lies, swaps)
	}
	if unbound && (s.WrongCallee+s.BelowFloor+lost < foreign || s.WrongCallee == 0) {
		t.Errorf("%d wrong callees of %d foreign records", s.WrongCallee, foreign)
	}
	if s.BelowFloor == 0 || s.Hits == 0 {
		t.Errorf("nothing overtaken was refused, or nothing was found: %+v", s)
	}
}
