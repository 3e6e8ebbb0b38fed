package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

const benchCallees = 1 << 19 // far more than a processor's own cache holds

func filled(b *testing.B, callees int) (*Memory[*note], []eligibility.CalleeToken) {
	b.Helper()
	m := NewMemory[*note](Options{MaxBytes: 1 << 30})
	tokens := make([]eligibility.CalleeToken, callees)
	now := time.Now()
	for i := range tokens {
		tokens[i] = token(uint64(i))
		m.Put(ctx, &note{tokens[i], 10, now, 100})
		if i%10 == 0 {
			m.Raise(tokens[i], 5)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	return m, tokens
}

func BenchmarkGet(b *testing.B) {
	for _, callees := range []int{1 << 12, benchCallees} {
		b.Run(fmt.Sprintf("callees=%d", callees), func(b *testing.B) {
			b.ReportAllocs()
			m, tokens := filled(b, callees)
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.Uint32(); pb.Next(); i++ {
					if _, ok := m.Get(ctx, tokens[i*2654435761%uint32(callees)]); !ok {
						b.Error("gone")
					}
				}
			})
		})
	}
}

func BenchmarkCurrent(b *testing.B) {
	b.ReportAllocs()
	m, tokens := filled(b, benchCallees)
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.Uint32(); pb.Next(); i++ {
			if !m.Current(tokens[i*2654435761%benchCallees], 10) {
				b.Error("not current")
			}
		}
	})
}

// BenchmarkPut replaces records, each by a newer one.
func BenchmarkPut(b *testing.B) {
	b.ReportAllocs()
	m, tokens := filled(b, benchCallees)
	now := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		position := uint64(11)
		for i := rand.Uint32(); pb.Next(); i++ {
			m.Put(ctx, &note{tokens[i*2654435761%benchCallees], position, now, 100})
			position++
		}
	})
}

// BenchmarkPutEvicting fills a cache that is full.
func BenchmarkPutEvicting(b *testing.B) {
	m := NewMemory[*note](Options{MaxBytes: 64 << 20})
	now := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.Uint64() >> 1; pb.Next(); i++ {
			m.Put(ctx, &note{token(i), 10, now, 100})
		}
	})
}

// BenchmarkRaise raises floors of ever new callees; some are given up.
func BenchmarkRaise(b *testing.B) {
	m := NewMemory[*note](Options{MaxBytes: 64 << 20})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		position := uint64(1)
		for i := rand.Uint64() >> 1; pb.Next(); i++ {
			m.Raise(token(i), position)
			position++
		}
	})
}
