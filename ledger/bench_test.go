package ledger_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
)

func benchFact(n uint64) ledger.Append {
	f := ledgertest.Fact(int(n%1_000_003), fmt.Sprint("request ", n))
	f.Payload = make([]byte, 150)
	return f
}

// BenchmarkAppend is one durable fact a call.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			b.ReportAllocs()
			l := open(b, b.TempDir(), ledger.Options{})
			var n atomic.Uint64
			if callers == 1 {
				for b.Loop() {
					mustAppend(b, l, benchFact(n.Add(1)))
				}
				return
			}
			b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := l.Append(context.Background(), []ledger.Append{benchFact(n.Add(1))}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkAppendBulk is what an import does: appends of 500 facts without request keys, about callees scattered at random,
// many under way at once.
func BenchmarkAppendBulk(b *testing.B) {
	for _, atOnce := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("at once=", atOnce), func(b *testing.B) {
			const facts = 500
			l := open(b, b.TempDir(), ledger.Options{})
			b.ReportAllocs()
			b.ResetTimer()
			var work sync.WaitGroup
			var next atomic.Int64
			for range atOnce {
				work.Go(func() {
					for {
						n := int(next.Add(1))
						if n > b.N {
							return
						}
						if _, err := l.Append(context.Background(), bulkFacts(n, facts)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			work.Wait()
			b.ReportMetric(float64(b.N*facts)/b.Elapsed().Seconds(), "facts/s")
		})
	}
}

// bulkFacts are facts as long as a consent and a sealed number are.
func bulkFacts(call, facts int) []ledger.Append {
	all := make([]ledger.Append, facts)
	for i := range all {
		token := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(call*facts+i)))
		payload := make([]byte, 330)
		copy(payload, token[:])
		all[i] = ledger.Append{Callee: eligibility.CalleeToken(token[:16]), SealedNumber: payload[:45], Kind: 2, Payload: payload}
	}
	return all
}

// stocked is a ledger of 100,000 facts on 25,000 callees, four each, in an order that scatters a callee's facts.
func stocked(b *testing.B) *ledger.SQLite {
	b.Helper()
	l := open(b, b.TempDir(), ledger.Options{})
	for chunk := range 10 {
		facts := make([]ledger.Append, 10_000)
		for i := range facts {
			n := chunk*10_000 + i
			facts[i] = ledgertest.Fact(n%25_000, fmt.Sprint("request ", n))
			facts[i].Payload = make([]byte, 150)
		}
		mustAppend(b, l, facts...)
	}
	return l
}

func BenchmarkFacts(b *testing.B) {
	l := stocked(b)
	read := func(b *testing.B, n int) {
		s, err := l.Facts(context.Background(), ledgertest.Callee(n*7919%25_000), 0)
		if err != nil || len(s.Entries) != 4 {
			b.Errorf("%d facts, %v", len(s.Entries), err)
		}
	}
	b.Run("four", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			read(b, n)
		}
	})
	b.Run("none", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if s, err := l.Facts(context.Background(), ledgertest.Callee(30_000), 0); err != nil || len(s.Entries) != 0 {
				b.Fatal(s, err)
			}
		}
	})
	b.Run("four, parallel", func(b *testing.B) {
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				read(b, int(n.Add(1)))
			}
		})
	})
}

func BenchmarkTail(b *testing.B) {
	l := stocked(b)
	for _, limit := range []int{1, 1000} {
		b.Run(fmt.Sprint("limit=", limit), func(b *testing.B) {
			b.ReportAllocs()
			for n := uint64(0); b.Loop(); n++ {
				if got, err := l.Tail(context.Background(), n*7919%99_000, limit); err != nil || len(got) != limit {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}

// BenchmarkShipDecisions is how the journal's decisions reach the ledger: batches about callees in no order. What a
// decision costs lies with the pages that a batch touches, so large batches are cheaper.
func BenchmarkShipDecisions(b *testing.B) {
	for _, batch := range []int{100, 500, 2000} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) { benchmarkShipping(b, batch) })
	}
}

func benchmarkShipping(b *testing.B, batch int) {
	b.ReportAllocs()
	l := open(b, b.TempDir(), ledger.Options{})
	place := uint64(0)
	for b.Loop() {
		decisions := make([]ledger.Decision, batch)
		for i := range decisions {
			n := place + uint64(i)
			decisions[i] = ledger.Decision{
				Time: time.Unix(0, int64(n)), Callee: ledgertest.Callee(int(n * 7919 % 100_003)), Campaign: "autumn",
				Verdict: int32(eligibility.Allow), Payload: make([]byte, 250),
			}
			copy(decisions[i].ID[:], fmt.Sprintf("%016d", n))
		}
		if err := l.ShipDecisions(context.Background(), "j", place, place+uint64(batch), decisions); err != nil {
			b.Fatal(err)
		}
		place += uint64(batch)
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "decisions/s")
}

func BenchmarkVerify(b *testing.B) {
	b.ReportAllocs()
	l := stocked(b)
	for b.Loop() {
		if r, err := l.Verify(context.Background()); err != nil || !r.OK() {
			b.Fatal(r, err)
		}
	}
}
