package journal

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const benchPayload = 280 // bytes of a decision, about

// BenchmarkBare is the floor: one loop of pwrite and fdatasync, on a file that grows and on one of zeros.
func BenchmarkBare(b *testing.B) {
	for _, zeroed := range []bool{false, true} {
		b.Run(fmt.Sprintf("zeroed=%v", zeroed), func(b *testing.B) {
			b.ReportAllocs()
			f, err := osOpen(filepath.Join(b.TempDir(), "bare"), 0o102)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			if zeroed {
				if err := fillZeros(f, 64<<20); err != nil {
					b.Fatal(err)
				}
			}
			frame := appendFrame(nil, 1, 1, 1, 1, make([]byte, benchPayload))
			b.ResetTimer()
			for i := range b.N {
				if _, err := f.WriteAt(frame, int64(i*len(frame)%(60<<20))); err != nil {
					b.Fatal(err)
				}
				if err := f.sync(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, appenders := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) { benchAppend(b, appenders) })
	}
}

func benchAppend(b *testing.B, appenders int) {
	j, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	took := make([]time.Duration, b.N)
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range appenders {
		wg.Go(func() {
			payload := make([]byte, benchPayload)
			for {
				i := left.Add(-1)
				if i < 0 {
					return
				}
				begin := time.Now()
				if _, err := j.Append(ctx, payload); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(begin)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	s := j.Stats()
	b.ReportMetric(float64(b.N)/float64(s.Groups), "records/group")
	b.ReportMetric(float64(s.SyncTotal.Nanoseconds())/float64(s.Syncs), "ns/fsync")
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}

func BenchmarkAppendNoWait(b *testing.B) {
	j, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	payload := make([]byte, benchPayload)
	b.ReportAllocs()
	full := 0
	for b.Loop() {
		for {
			_, err := j.AppendNoWait(payload)
			if err == nil {
				break
			}
			full++
			time.Sleep(100 * time.Microsecond)
		}
	}
	b.ReportMetric(float64(full)/float64(b.N), "full/op")
}
