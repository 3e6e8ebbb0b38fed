package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// scattered answers batches in any order, and keeps what the first fact under a request id said.
type scattered struct {
	mu       sync.Mutex
	said     map[string]string
	underWay atomic.Int64
	most     atomic.Int64
	fail     func(facts []*belpoortv1.RecordFactRequest) error
}

func (s *scattered) Record(_ context.Context, facts []*belpoortv1.RecordFactRequest) (Result, error) {
	now := s.underWay.Add(1)
	defer s.underWay.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	if s.fail != nil {
		if err := s.fail(facts); err != nil {
			return Result{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var r Result
	for i, f := range facts {
		said, known := s.said[f.GetRequestId()]
		switch {
		case !known:
			s.said[f.GetRequestId()] = f.GetCallee()
			r.Recorded++
		case said == f.GetCallee():
			r.Unchanged++
		default:
			r.Rejected = append(r.Rejected, Rejected{Index: i, Field: "request_id", Description: "was used before"})
		}
	}
	return r, nil
}

// Batches that are handed over together and answered in any order come out as if one had waited for the other: the report,
// the rejects file in the order of the lines, and checkpoints behind which nothing is left out. The mutant
// mutant_window_any_order must fail here.
func TestBatchesUnderWayAreAccountedForInOrder(t *testing.T) {
	file := strings.Builder{}
	file.WriteString("id;telefoon;organisatie;datum;via\n")
	rows := 0
	for i := range 3000 {
		number := fmt.Sprintf("06%08d", 10000000+i)
		switch {
		case i%140 == 139: // the id of a row not far above, with other content
			fmt.Fprintf(&file, "nr%d;%s;a;2026-01-01;web\n", max(0, i-23), number)
		case i%11 == 0:
			fmt.Fprintf(&file, "nr%d;niets;a;2026-01-01;web\n", i)
		default:
			fmt.Fprintf(&file, "nr%d;%s;a;2026-01-01;web\n", i, number)
		}
		rows++
	}
	run := func(underWay int) (string, Report, []Progress, *scattered) {
		to := &scattered{said: map[string]string{}}
		var rejects bytes.Buffer
		var seen []Progress
		report, err := Import(t.Context(), strings.NewReader(file.String()), Options{
			Kind: Objections, Name: "crm", BatchSize: 20, UnderWay: underWay, Rejects: &rejects,
			Progress: func(p Progress) { seen = append(seen, p) },
		}, to)
		if err != nil {
			t.Fatal(err)
		}
		return rejects.String(), report, seen, to
	}
	wantRejects, want, _, _ := run(1)
	if want.Rows != uint64(rows) || want.Reasons[Refused] == 0 || want.Reasons[BadNumber] == 0 {
		t.Fatalf("the file has nothing to find: %+v", want)
	}
	for range 5 {
		rejects, report, seen, to := run(32)
		if rejects != wantRejects {
			t.Fatal("the rejects file differs from that of one batch after the other")
		}
		if fmt.Sprint(report) != fmt.Sprint(want) {
			t.Fatalf("%+v, want %+v", report, want)
		}
		last := Progress{}
		for _, p := range seen {
			if p.Rows < last.Rows || p.Bytes < last.Bytes || p.RejectsBytes < last.RejectsBytes {
				t.Fatalf("progress goes back from %+v to %+v", last, p)
			}
			last = p
		}
		if last.Rows != uint64(rows) || last.RejectsBytes != int64(len(rejects)) {
			t.Fatalf("the last progress is %+v", last)
		}
		if most := to.most.Load(); most < 4 || most > 32 {
			t.Errorf("%d batches were under way at most", most)
		}
	}
}

// A batch that fails ends the import. What was answered behind it counts as recorded, but no checkpoint lies behind it, and
// going on from the last one records the rest.
func TestABatchThatFailsUnderWayIsUnconfirmed(t *testing.T) {
	var file strings.Builder
	file.WriteString(objectionHeader)
	const rows = 2000
	for i := range rows {
		fmt.Fprintf(&file, "06%08d;a;2026-01-01;web\n", 10000000+i)
	}
	lost := errors.New("connection lost")
	recorded := map[string]bool{}
	var mu sync.Mutex
	to := recorderFunc(func(_ context.Context, facts []*belpoortv1.RecordFactRequest) (Result, error) {
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		mu.Lock()
		defer mu.Unlock()
		if facts[0].GetCallee() == "+31610000400" && !recorded["again"] {
			return Result{}, lost
		}
		var r Result
		for _, f := range facts {
			if recorded[f.GetCallee()] {
				r.Unchanged++
			} else {
				r.Recorded++
			}
			recorded[f.GetCallee()] = true
		}
		return r, nil
	})
	var sound Checkpoint
	opts := Options{Kind: Objections, BatchSize: 20, UnderWay: 16, Progress: func(p Progress) {
		if p.Unconfirmed == 0 {
			sound = p.Checkpoint
		}
	}}
	report, err := Import(t.Context(), strings.NewReader(file.String()), opts, to)
	if !errors.Is(err, lost) || !strings.Contains(err.Error(), "lines 402 to 421") {
		t.Fatalf("%v", err)
	}
	if sum := report.Recorded + report.Unconfirmed; sum != report.Rows || report.Unconfirmed < 20 {
		t.Errorf("%+v", report)
	}
	if sound.Rows != 400 {
		t.Errorf("the last checkpoint is behind row %d, and that after row 400 is unconfirmed", sound.Rows)
	}
	recorded["again"] = true
	opts.Resume = sound
	report, err = Import(t.Context(), strings.NewReader(file.String()), opts, to)
	if err != nil || report.Rows != rows || report.Recorded+report.Unchanged != rows || len(recorded) != rows+1 {
		t.Errorf("going on: %+v, %v; %d recorded", report, err, len(recorded)-1)
	}
}

// Where answers are slow, fewer batches are under way: none may wait until it is given up.
func TestSlowAnswersNarrowTheWindow(t *testing.T) {
	w := newWindow(nil, MaxUnderWay)
	for range 100 {
		w.adapt(&batch{facts: make([]*belpoortv1.RecordFactRequest, 1), took: quick / 2})
	}
	if w.room != MaxUnderWay {
		t.Errorf("quick answers make room for %v", w.room)
	}
	w.adapt(&batch{facts: make([]*belpoortv1.RecordFactRequest, 1), took: 8 * quick})
	if w.room != MaxUnderWay/8 {
		t.Errorf("an answer that took eight times too long leaves room for %v", w.room)
	}
	for range 100 {
		w.adapt(&batch{facts: make([]*belpoortv1.RecordFactRequest, 1), took: time.Hour})
	}
	if w.room != 1 {
		t.Errorf("room for %v at the slowest", w.room)
	}
}
