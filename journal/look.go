package journal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Record is one record of a journal that is looked at.
type Record struct {
	Journal string // its ID
	Seq     uint64
	Payload []byte // valid until the next one
}

// Look reads the records that a journal's directory holds, in order, and changes nothing. A process may be writing the journal:
// segments that are shipped and removed meanwhile are passed over, and it ends where the last record is not whole. It fails with
// a CorruptError, with each's error, or because the directory cannot be read.
func Look(dir string, each func(Record) error) error {
	d := directory{dir: dir}
	names, err := d.names()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(names, func(name string) bool { return !isSegmentName(name) })
	var before journalID
	for i, name := range names {
		b, err := os.ReadFile(d.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		if before, err = lookAt(d.path(name), b, before, i == len(names)-1, each); err != nil {
			return err
		}
	}
	return nil
}

// lookAt goes through one segment; before is the journal of the one before it.
func lookAt(path string, b []byte, before journalID, isLast bool, each func(Record) error) (journalID, error) {
	id, next, reason := decodeHeader(b)
	switch {
	case reason != "" && isLast:
		return before, nil // it is being made
	case reason != "":
		return before, &CorruptError{path, 0, reason}
	case headerVersion(b) != formatVersion:
		return before, fmt.Errorf("%w: %s has version %d, want %d", ErrVersion, path, headerVersion(b), formatVersion)
	case before != journalID{} && id != before:
		return before, &CorruptError{path, 0, "segment belongs to another journal"}
	}
	name := hex.EncodeToString(id[:])
	for at := headerBytes; ; {
		f, ok := readFrame(b[at:], id.seed())
		switch {
		case !ok || f.isMark():
			return id, nil
		case f.seq != next:
			return id, &CorruptError{path, int64(at), fmt.Sprintf("sequence gap: record %d, want %d", f.seq, next)}
		}
		if err := each(Record{name, f.seq, f.payload}); err != nil {
			return id, err
		}
		at, next = at+f.size(), next+1
	}
}
