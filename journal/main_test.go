package journal

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// children are the jobs this test binary does when it is started as a process of its own.
var children = map[string]func() error{
	"append": childAppends,
	"insist": childInsists,
	"fill":   childFillsDisk,
}

func TestMain(m *testing.M) {
	job, ok := children[os.Getenv("JOURNAL_TEST_CHILD")]
	if !ok {
		os.Exit(m.Run())
	}
	if err := job(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// seeded is a random source whose seed is printed when the test fails; JOURNAL_TEST_SEED repeats one.
func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("JOURNAL_TEST_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("JOURNAL_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// sized is the short form of a test, or the long one where SOAK asks for it; the race detector gets a tenth of the short
// one, it looks for something else.
func sized(t testing.TB, short, long int) int {
	if soaking(t) > 0 {
		return long
	}
	if underRace {
		return (short + 9) / 10
	}
	return short
}

// rounds counts as far as sized says, in the long form for no longer than SOAK.
func rounds(t testing.TB, short, long int) iter.Seq[int] {
	most, length, begin := sized(t, short, long), soaking(t), time.Now()
	return func(yield func(int) bool) {
		for n := range most {
			if length > 0 && time.Since(begin) > length {
				t.Logf("%d of %d rounds in %v", n, most, length)
				return
			}
			if !yield(n) {
				return
			}
		}
	}
}

// soaking is how long the long form of a test may take; 0 where SOAK does not ask for it.
func soaking(t testing.TB) time.Duration {
	asked := os.Getenv("SOAK")
	if asked == "" || asked == "0" {
		return 0
	}
	length, err := time.ParseDuration(asked)
	if err != nil {
		t.Fatalf("SOAK: %v", err)
	}
	return length
}

// bounded is a context that ends long after anything here should have.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func mustOpen(t testing.TB, d disk, opts Options) *Journal {
	t.Helper()
	j, err := openOn(d, opts.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func mustOpenDir(t testing.TB, dir string, opts Options) *Journal {
	t.Helper()
	j, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func mustAppend(t testing.TB, j *Journal, payload []byte) uint64 {
	t.Helper()
	seq, err := j.Append(bounded(t), payload)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func mustClose(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// randomPayload differs from every other: it begins with its number.
func randomPayload(r *rand.Rand, number, most int) []byte {
	b := fmt.Appendf(nil, "%d:", number)
	for range r.IntN(most) {
		b = append(b, byte(r.Uint32()))
	}
	return b
}

// readAll reads the journal on d with nothing but the format: the first sequence number, and the payloads from there.
func readAll(d disk) (first uint64, payloads [][]byte, err error) {
	v, err := survey(d)
	if err != nil {
		return 0, nil, err
	}
	for i, seg := range v.segments {
		if i == 0 {
			first = seg.first
		}
		b, err := readSegment(d, seg.name, nil)
		if err != nil {
			return 0, nil, err
		}
		b = b[headerBytes:]
		for {
			f, ok := readFrame(b, v.id.seed())
			if !ok || f.isMark() {
				break
			}
			if want := first + uint64(len(payloads)); f.seq != want {
				return 0, nil, fmt.Errorf("%s: record %d, want %d", seg.name, f.seq, want)
			}
			payloads = append(payloads, f.payload)
			b = b[f.size():]
		}
	}
	return first, payloads, nil
}

func contents(t testing.TB, d disk) (first uint64, payloads [][]byte) {
	t.Helper()
	first, payloads, err := readAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return first, payloads
}

// contentsOf reads a closed journal's directory.
func contentsOf(t testing.TB, dir string) (first uint64, payloads [][]byte) {
	t.Helper()
	d, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	return contents(t, d)
}
