package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/belpoort/belpoort/loader"
)

// How often progress is told where no bar moves.
const (
	plainEvery = 5 * time.Second
	jsonEvery  = time.Second
)

// progressView shows how far an import is.
type progressView interface {
	show(loader.Progress)
	end()
}

func (r *importRun) progress() progressView {
	pace := &pace{began: time.Now(), size: r.source.size()}
	named := r.source.name()
	if r.id != "" {
		named += " (" + r.id + ")"
	}
	switch {
	case r.f.flag("quiet"):
		return noProgress{}
	case r.f.flag("json"):
		return &progressLines{every: jsonEvery, pace: pace, line: func(s progressShown) { r.event("progress", "", &s) }}
	case isTerminal(r.err):
		return newProgressBar(r.err, named, pace)
	}
	return &progressLines{every: plainEvery, pace: pace, line: func(s progressShown) { fmt.Fprintf(r.err, "%s: %s\n", named, s) }}
}

// isTerminal tells that somebody looks, and that what is written can be overwritten.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && cwriter.IsTerminal(int(file.Fd()))
}

// importEvent is a line of JSON on standard error.
type importEvent struct {
	Event    string         `json:"event"` // progress, resumed or unreported
	File     string         `json:"file"`
	Import   string         `json:"import,omitempty"`
	Message  string         `json:"message,omitempty"`
	Progress *progressShown `json:"progress,omitempty"`
}

func (r *importRun) event(event, message string, p *progressShown) {
	_ = json.NewEncoder(r.err).Encode(importEvent{event, r.source.name(), r.id, message, p})
}

// say tells something beside the report.
func (r *importRun) say(event, sentence string) {
	if r.f.flag("json") {
		r.event(event, sentence, nil)
		return
	}
	fmt.Fprintln(r.err, "belpoort:", plainLine(sentence))
}

// progressShown is how far an import is, in the words of all views.
type progressShown struct {
	Rows     uint64   `json:"rows"`
	PerSec   float64  `json:"rows_per_second"`
	Bytes    int64    `json:"bytes"`
	Size     int64    `json:"size,omitempty"`
	Rejected uint64   `json:"rejected"`
	Left     *float64 `json:"eta_seconds,omitempty"` // absent while nobody knows
}

func (s progressShown) String() string {
	text := fmt.Sprintf("%d rows, %.0f rows/s, %s", s.Rows, s.PerSec, bytesShown(s.Bytes))
	if s.Size > 0 {
		text += " of " + bytesShown(s.Size)
	}
	text += fmt.Sprintf(", %d rejected", s.Rejected)
	if s.Left != nil {
		text += fmt.Sprintf(", %v left", (time.Duration(*s.Left) * time.Second).Round(time.Second))
	}
	return text
}

func bytesShown(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= step && unit < 4 {
		value /= step
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, " KMGT"[unit])
}

// pace measures from the first rows of this run: those of an earlier one were only passed over.
type pace struct {
	began      time.Time
	size       int64
	counting   bool
	firstRows  uint64
	firstBytes int64
}

func (p *pace) at(now time.Time, at loader.Progress) progressShown {
	if !p.counting {
		p.counting, p.firstRows, p.firstBytes = true, at.Rows, at.Bytes
		if at.Rows <= loader.MaxBatch { // a run from the beginning
			p.firstRows, p.firstBytes = 0, 0
		} else {
			p.began = now
		}
	}
	s := progressShown{Rows: at.Rows, Bytes: at.Bytes, Size: p.size, Rejected: at.Rejected}
	seconds := now.Sub(p.began).Seconds()
	if seconds <= 0 {
		return s
	}
	s.PerSec = float64(at.Rows-p.firstRows) / seconds
	if done := at.Bytes - p.firstBytes; done > 0 && p.size > at.Bytes {
		left := float64(p.size-at.Bytes) / float64(done) * seconds
		s.Left = &left
	}
	return s
}

type noProgress struct{}

func (noProgress) show(loader.Progress) {}
func (noProgress) end()                 {}

// progressLines writes a line now and then.
type progressLines struct {
	every time.Duration
	pace  *pace
	last  time.Time
	line  func(progressShown)
}

func (l *progressLines) show(p loader.Progress) {
	now := time.Now()
	if l.last.IsZero() {
		l.last = l.pace.began
	}
	shown := l.pace.at(now, p)
	if now.Sub(l.last) < l.every {
		return
	}
	l.last = now
	l.line(shown)
}

func (l *progressLines) end() {}

// progressBar moves on a terminal, and leaves nothing behind.
type progressBar struct {
	pace  *pace
	bars  *mpb.Progress
	bar   *mpb.Bar
	mu    sync.Mutex
	shown progressShown
}

func newProgressBar(w io.Writer, name string, pace *pace) *progressBar {
	b := &progressBar{pace: pace, shown: progressShown{Size: pace.size}}
	b.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(30), mpb.WithAutoRefresh())
	said := decor.Any(func(decor.Statistics) string {
		b.mu.Lock()
		defer b.mu.Unlock()
		return " " + b.shown.String()
	})
	filler := mpb.BarStyle()
	named := mpb.PrependDecorators(decor.Name(name + " "))
	if pace.size > 0 {
		b.bar = b.bars.New(pace.size, filler, named, mpb.AppendDecorators(said))
	} else {
		b.bar = b.bars.New(0, mpb.SpinnerStyle(), named, mpb.AppendDecorators(said))
	}
	return b
}

func (b *progressBar) show(p loader.Progress) {
	b.mu.Lock()
	b.shown = b.pace.at(time.Now(), p)
	b.mu.Unlock()
	b.bar.SetCurrent(min(p.Bytes, max(b.pace.size-1, 0))) // complete only at the end
}

func (b *progressBar) end() {
	b.bar.Abort(true)
	b.bars.Wait()
}
