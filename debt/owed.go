package debt

import "time"

// Owed gives the calls that were allowed before an instant and whose offer must still be made. What is known of them must be
// kept: a node that starts enters them again.
func (b *Book) Owed(before time.Time) (ids []ID) {
	for id, c := range b.open {
		if c.owing() && c.issued < before.UnixNano() {
			ids = append(ids, id)
		}
	}
	return ids
}
