package ledger

import (
	"runtime"
	"strings"
	"time"
)

// lookUpQuery is a question about up to bulkRows keys at once, or about one.
type lookUpQuery struct{ one, many string }

func newLookUp(start, end string) lookUpQuery {
	return lookUpQuery{start + "(?)" + end, start + "(?" + strings.Repeat(",?", bulkRows-1) + ")" + end}
}

const (
	recordedColumns = "SELECT f.request_key, f.position, f.record_time, f.callee, f.kind, f.payload_hash FROM "
	contentFacts    = " AND (f.request_key = '' OR f.request_key >= '" + contentKeys + "' AND f.request_key < 'content0')"
)

var (
	keysKnown       = newLookUp(recordedColumns+"facts f WHERE f.request_key IN ", " AND f.request_key <> ''")
	contentsKnown   = newLookUp(recordedColumns+indexedFacts+"WHERE c.callee IN ", contentFacts)
	youngContents   = newLookUp(recordedColumns+"facts f WHERE f.position IN ", contentFacts)
	referencesKnown = newLookUp("SELECT reference FROM facts WHERE reference IN ", "")
)

func lookUps() []string {
	return []string{keysKnown.one, keysKnown.many, contentsKnown.one, contentsKnown.many, youngContents.one, youngContents.many, referencesKnown.one, referencesKnown.many}
}

// lookUp notes on the board what the keys and references of a group already stand for.
func (s *SQLite) lookUp(b *board, group []*waiting) error {
	var keys, callees, young, references []any
	for _, a := range group {
		for i := range a.facts {
			f := &a.facts[i]
			if f.RequestKey != "" {
				keys = append(keys, f.RequestKey)
			} else if !mutantContentUnlooked {
				callees = append(callees, f.Callee[:])
				for _, position := range s.young.of(f.Callee) {
					young = append(young, int64(position))
				}
			}
			if f.Reference != "" {
				references = append(references, f.Reference)
			}
		}
	}
	w := s.writer
	if err := w.ask(keysKnown, keys, b.readRecorded); err != nil {
		return err
	}
	if err := w.ask(contentsKnown, callees, b.readContent); err != nil {
		return err
	}
	if err := w.ask(youngContents, young, b.readContent); err != nil {
		return err
	}
	return w.ask(referencesKnown, references, func(scan scanning) error {
		var reference string
		err := scan(&reference)
		b.taken[reference] = true
		return err
	})
}

type scanning = func(into ...any) error

// ask puts a question about many keys, and hands each row of the answers to take.
func (w writer) ask(q lookUpQuery, keys []any, take func(scanning) error) error {
	for ; len(keys) >= bulkRows; keys = keys[bulkRows:] {
		if err := w.each(q.many, keys[:bulkRows], take); err != nil {
			return err
		}
		runtime.Gosched()
	}
	for i := range keys {
		if err := w.each(q.one, keys[i:i+1], take); err != nil {
			return err
		}
	}
	return nil
}

func (w writer) each(query string, args []any, take func(scanning) error) error {
	rows, err := w.query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (b *board) readRecorded(scan scanning) error {
	key, known, err := scanRecorded(scan)
	b.known[key] = known
	return err
}

// readContent notes a fact that is known by its content, whatever key an earlier version gave it.
func (b *board) readContent(scan scanning) error {
	_, known, err := scanRecorded(scan)
	who := identity("", &Append{Callee: known.callee, Kind: known.kind}, known.payload)
	if first, is := b.known[who]; !is || known.position < first.position {
		b.known[who] = known
	}
	return err
}

func scanRecorded(scan scanning) (key string, k recorded, err error) {
	var nanoseconds int64
	var callee, hash []byte
	if err := scan(&key, &k.position, &nanoseconds, &callee, &k.kind, &hash); err != nil {
		return "", k, err
	}
	k.time = time.Unix(0, nanoseconds).UTC()
	copy(k.callee[:], callee)
	copy(k.payload[:], hash)
	return key, k, nil
}
