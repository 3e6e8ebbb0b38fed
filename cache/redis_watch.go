package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// watch holds the verdict on whether Redis may be used, and renews it.
type watch struct {
	checks   checks
	onError  func(error)
	admitted atomic.Bool // it has passed the checks, and has not failed them since
	wake     chan struct{}

	mu   sync.Mutex
	last error // what the last check found
}

const (
	recheckUsed   = 10 * time.Second
	recheckUnused = 250 * time.Millisecond
	recheckLeast  = 100 * time.Millisecond
)

func newWatch(c checks, onError func(error)) *watch {
	return &watch{checks: c, onError: onError, wake: make(chan struct{}, 1)}
}

// begin checks for the first time. Only a Redis that must not be used is an error.
func (w *watch) begin(ctx context.Context) error {
	err := w.checks.run(ctx)
	if errors.Is(err, ErrRefused) {
		return err
	}
	w.note(err)
	return nil
}

// run checks from time to time, and soon after a reader has noticed something.
func (w *watch) run(alive context.Context) {
	for {
		pause := recheckUsed
		if w.health() != nil {
			pause = recheckUnused
		}
		select {
		case <-alive.Done():
			return
		case <-w.wake:
		case <-time.After(pause):
		}
		if err := w.checks.run(alive); alive.Err() == nil {
			w.note(err)
		}
		select {
		case <-alive.Done():
		case <-time.After(recheckLeast):
		}
	}
}

// poke asks for a check soon.
func (w *watch) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// note keeps the verdict. One who does not answer keeps the verdict it had.
func (w *watch) note(err error) {
	switch {
	case err == nil:
		w.admitted.Store(true)
	case errors.Is(err, ErrRefused):
		w.admitted.Store(false)
	}
	w.mu.Lock()
	last := w.last
	w.last = err
	w.mu.Unlock()
	if changed(last, err) {
		w.onError(err)
	}
}

// changed compares by kind for those that do not answer, since network errors name ports that differ each time.
func changed(last, now error) bool {
	if last == nil || now == nil {
		return (last == nil) != (now == nil)
	}
	if errors.Is(last, ErrRefused) != errors.Is(now, ErrRefused) {
		return true
	}
	return errors.Is(now, ErrRefused) && last.Error() != now.Error()
}

func (w *watch) health() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}
