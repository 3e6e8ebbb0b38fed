//go:build !linux

package journal

func (f osFile) sync() error { return f.Sync() }

// reserve leaves the allocating to the zeros that are written next.
func (f osFile) reserve(int64) error { return nil }
