package loader

import (
	"context"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

const (
	// MaxUnderWay bounds how many batches are handed over at once.
	MaxUnderWay = 32
	// quick is how soon a batch should be answered: where it takes longer fewer are handed over at once, so that none waits
	// long enough to be given up. Nothing is gained by more, and a slow register is not drowned.
	quick = 500 * time.Millisecond
)

// batch is facts that are handed over together, and the rows around them that were rejected here.
type batch struct {
	facts   []*belpoortv1.RecordFactRequest
	lines   []int // of facts
	size    int   // of facts, in protobuf
	rejects []reject
	bytes   int64 // read from the file up to here

	result Result
	err    error
	took   time.Duration
	done   chan struct{}
}

// window is the batches under way, in the order of the file.
type window struct {
	to       Recorder
	most     int
	room     float64 // how many may be under way, as their answers allow
	underWay []*batch
	ids      map[string]int // request ids under way
}

func newWindow(to Recorder, most int) *window {
	return &window{to: to, most: most, room: min(4, float64(most)), ids: map[string]int{}}
}

// full reports that a batch must wait for the oldest one. Two facts with one request id are never under way together: the one
// that stands first in the file is to be recorded.
func (w *window) full(next *batch) bool {
	if len(w.underWay) == 0 {
		return false
	}
	if len(w.underWay) >= int(w.room) {
		return true
	}
	for _, f := range next.facts {
		if f.GetRequestId() != "" && w.ids[f.GetRequestId()] > 0 && !mutantWindowAnyOrder {
			return true
		}
	}
	return false
}

// hand gives a batch to the recorder and does not wait.
func (w *window) hand(ctx context.Context, b *batch) {
	w.count(b, 1)
	w.underWay = append(w.underWay, b)
	b.done = make(chan struct{})
	if len(b.facts) == 0 {
		close(b.done)
		return
	}
	go func() {
		defer close(b.done)
		began := time.Now()
		if b.result, b.err = w.to.Record(ctx, b.facts); b.err == nil {
			b.err = b.result.check(len(b.facts))
		}
		b.took = time.Since(began)
	}()
}

func (w *window) count(b *batch, by int) {
	for _, f := range b.facts {
		id := f.GetRequestId()
		if id == "" {
			continue
		}
		if w.ids[id] += by; w.ids[id] == 0 {
			delete(w.ids, id)
		}
	}
}

// oldest waits for the batch that was handed over first, or gives nil where wait is false and it is not answered.
func (w *window) oldest(wait bool) *batch {
	if len(w.underWay) == 0 {
		return nil
	}
	b := w.underWay[0]
	if !wait {
		select {
		case <-b.done:
		default:
			return nil
		}
	}
	<-b.done
	w.underWay = w.underWay[1:]
	w.count(b, -1)
	w.adapt(b)
	return b
}

// adapt makes room for one more at each quick answer, and for fewer at each slow one.
func (w *window) adapt(b *batch) {
	switch {
	case len(b.facts) == 0:
	case b.took <= quick:
		w.room = min(w.room+1, float64(w.most))
	default:
		w.room = max(1, w.room*float64(quick)/float64(b.took))
	}
}
