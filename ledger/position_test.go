package ledger

import (
	"fmt"
	"testing"
	"time"
)

func TestAPositionIsFoundByItsTime(t *testing.T) {
	now := time.Date(2026, 11, 18, 13, 0, 0, 0, time.UTC)
	store, err := OpenSQLite(t.Context(), t.TempDir(), Options{Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	begin, want := now, map[time.Duration]uint64{-time.Hour: 0, 0: 0, time.Nanosecond: 2}
	if at, err := PositionAt(t.Context(), store, begin); err != nil || at != 0 {
		t.Errorf("in an empty ledger: %d, %v", at, err)
	}
	for i := range 21 {
		now = begin.Add(time.Duration(i/2) * time.Minute)
		if _, err := store.Append(t.Context(), []Append{{RequestKey: fmt.Sprint(i), Kind: 1, Payload: []byte("p")}}); err != nil {
			t.Fatal(err)
		}
		want[time.Duration(i/2)*time.Minute] = uint64(i / 2 * 2)
	}
	want[time.Hour] = 21
	for after, position := range want {
		if got, err := PositionAt(t.Context(), store, begin.Add(after)); err != nil || got != position {
			t.Errorf("%v after the first: %d, %v, want %d", after, got, err, position)
		}
	}
}
