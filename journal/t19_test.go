package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// childInsists appends from eight callers, each of which tries five times more after its first refusal, and says what
// it was told: the record's number and payload, or "refused", the caller, and whether the journal says it has failed.
func childInsists() error {
	j, err := Open(os.Getenv("JOURNAL_TEST_DIR"), Options{SegmentBytes: 192 << 10})
	if err != nil {
		fmt.Printf("not opened: %v\n", err)
		return nil
	}
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i, refusals := 0, 0; i < 400 && refusals < 6; i++ {
				payload := fmt.Sprintf("%d/%d%s", caller, i, strings.Repeat(".", i*1009%5000)) // groups of several pages
				seq, err := j.Append(context.Background(), []byte(payload))
				if err != nil {
					refusals++
					os.Stdout.WriteString(fmt.Sprintf("refused %d %t\n", caller, errors.Is(err, ErrFailed) && j.Err() != nil))
					continue
				}
				os.Stdout.WriteString(fmt.Sprintf("%d %s\n", seq, payload))
			}
		})
	}
	callers.Wait()
	_ = j.Close()
	return nil
}
