package main

import (
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/fence"
)

// A check must never be taken to have come later than it did, or an ALLOW could outlive its two seconds.
func TestLatelyIsNeverAhead(t *testing.T) {
	recent := lately(fence.Uptime)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 20_000 {
				if read, now := recent(), fence.Uptime(); read > now {
					t.Errorf("read %v, and it was no later than %v", read, now)
					return
				}
			}
		})
	}
	callers.Wait()
	first := recent()
	time.Sleep(2 * latelyFor)
	if second := recent(); second < first+2*latelyFor {
		t.Errorf("%v later it reads %v, after %v", 2*latelyFor, second, first)
	}
}
