package ledger

import (
	"context"
	"time"
)

// PositionAt gives the last position that was recorded before t, 0 for none: every fact recorded at or after t stands
// behind it. Record times never go back, so that a few readings find it.
func PositionAt(ctx context.Context, l Ledger, t time.Time) (uint64, error) {
	high, err := l.Head(ctx)
	if err != nil {
		return 0, err
	}
	low := uint64(0)
	for low < high {
		middle := low + (high-low+1)/2
		entry, err := l.Entry(ctx, middle)
		if err != nil {
			return 0, err
		}
		if entry.RecordTime.Before(t) {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low, nil
}
