package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
)

// TestBulkGivesWay keeps more bulk appends waiting than ever go into one transaction, and appends an objection: it must be
// answered while most of the others still wait. The mutant mutant_bulk_first must fail here.
func TestBulkGivesWay(t *testing.T) {
	l := open(t, t.TempDir(), ledger.Options{})
	const loads, facts = 60, 500
	for round := range 3 {
		var work sync.WaitGroup
		done := make(chan struct{}, loads)
		for i := range loads {
			all := bulkFacts(round*loads+i, facts)
			work.Go(func() {
				if _, err := l.Append(context.Background(), all); err != nil {
					t.Error(err)
				}
				done <- struct{}{}
			})
		}
		time.Sleep(5 * time.Millisecond) // the first of them are being written
		mustAppend(t, l, ledgertest.Fact(1, fmt.Sprint("objection ", round)))
		if before := len(done); before > loads/2 {
			t.Errorf("%d of %d bulk appends were answered before the small one", before, loads)
		}
		work.Wait()
	}
	if head, err := l.Head(t.Context()); err != nil || head != 3*(loads*facts+1) {
		t.Errorf("head %d, %v", head, err)
	}
}
