package ledger

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func opened(t *testing.T) *SQLite {
	t.Helper()
	s, err := OpenSQLite(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestConnectionThatIsNotDurableIsRefused gives connections settings that lose acknowledged facts in a power cut.
func TestConnectionThatIsNotDurableIsRefused(t *testing.T) {
	s := opened(t)
	s.Close()
	for _, setting := range []string{"synchronous(OFF)", "synchronous(NORMAL)", "journal_mode(DELETE)", "journal_mode(MEMORY)"} {
		for _, pragmas := range []url.Values{writerPragmas(), readerPragmas()} {
			name, _, _ := strings.Cut(setting, "(")
			for i, p := range pragmas["_pragma"] {
				if strings.HasPrefix(p, name) {
					pragmas["_pragma"][i] = setting
				}
			}
			pool, err := openPool(s.path, pragmas, 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := pool.Ping(); !errors.Is(err, ErrUnavailable) {
				t.Errorf("a connection with %s: %v, want %v", setting, err, ErrUnavailable)
			}
			pool.Close()
		}
	}
}

// TestFullDiskIsUnavailableAndPasses lets the file grow no further, and then again.
func TestFullDiskIsUnavailableAndPasses(t *testing.T) {
	s := opened(t)
	limit := func(pages int) {
		if _, err := s.writer.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	fact := func(n int) []Append {
		return []Append{{RequestKey: fmt.Sprint(n), Payload: make([]byte, 10_000)}}
	}
	limit(40)
	kept := 0
	var err error
	for err == nil && kept < 1000 {
		if _, err = s.Append(t.Context(), fact(kept)); err == nil {
			kept++
		}
	}
	if !errors.Is(err, ErrUnavailable) || kept == 0 {
		t.Fatalf("after %d facts: %v, want %v", kept, err, ErrUnavailable)
	}
	limit(4000)
	got, err := s.Append(t.Context(), fact(kept))
	if err != nil || got[0].Position != uint64(kept+1) {
		t.Fatalf("with room again: %+v, %v", got, err)
	}
	if r, err := s.Verify(t.Context()); err != nil || !r.OK() || r.Sound != uint64(kept+1) {
		t.Fatalf("Verify: %+v, %v", r, err)
	}
}

// TestQueriesUseAnIndex keeps every question from reading or sorting a table.
func TestQueriesUseAnIndex(t *testing.T) {
	s := opened(t)
	for query, want := range map[string]string{
		factsQuery:     "SEARCH c USING PRIMARY KEY (callee=? AND position<?); SEARCH f USING INTEGER PRIMARY KEY (rowid=?)",
		latestQuery:    "SEARCH f USING INDEX facts_kind (kind=? AND rowid<?)",
		entryQuery:     "SEARCH f USING INTEGER PRIMARY KEY (rowid=?)",
		referenceQuery: "SEARCH f USING INDEX facts_reference (reference=? AND rowid<?)",
		tailQuery:      "SEARCH f USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
		numberQuery:    "SEARCH c USING PRIMARY KEY (callee=?); SEARCH f USING INTEGER PRIMARY KEY (rowid=?)",
		placeQuery:     "SEARCH places USING PRIMARY KEY (source=?)",
		metaQuery:      "SEARCH meta USING PRIMARY KEY (key=?)",
		tipQuery:       "SEARCH head USING INTEGER PRIMARY KEY (rowid=?); SCALAR SUBQUERY 1; SEARCH facts",
		decisionQuery:  "SEARCH decisions USING INDEX sqlite_autoindex_decisions_1 (id=?)",

		byCallQuery:         "SEARCH decisions USING INDEX decisions_call (call_id=?)",
		allowedQuery:        "SEARCH decisions USING INDEX decisions_number (number>?)",
		allowedFromQuery:    "SCAN CONSTANT ROW; SCALAR SUBQUERY 1; SEARCH decisions USING COVERING INDEX decisions_allowed (time>?); SCALAR SUBQUERY 2; SEARCH allowed USING INTEGER PRIMARY KEY (rowid=?)",
		keysKnown.one:       "SEARCH f USING INDEX facts_request_key (request_key=?)",
		keysKnown.many:      "SEARCH f USING INDEX facts_request_key (request_key=?)",
		contentsKnown.one:   "SEARCH c USING PRIMARY KEY (callee=?); SEARCH f USING INTEGER PRIMARY KEY (rowid=?)",
		contentsKnown.many:  "SEARCH c USING PRIMARY KEY (callee=?); SEARCH f USING INTEGER PRIMARY KEY (rowid=?)",
		referencesKnown.one: "SEARCH facts USING COVERING INDEX facts_reference (reference=?)",

		ofKindQuery: "SEARCH f USING INDEX facts_kind (kind=? AND rowid>? AND rowid<?)",

		factsOfManyQuery:   "SEARCH c USING PRIMARY KEY (callee=? AND position<?); SEARCH f USING INTEGER PRIMARY KEY (rowid=?)",
		numberedQuery:      "SEARCH c USING PRIMARY KEY (callee=?); SEARCH f USING INTEGER PRIMARY KEY (rowid=?)",
		calleesBehindQuery: "SEARCH callee_facts USING PRIMARY KEY (callee>?)",
		positionsQuery:     "SEARCH callee_facts USING PRIMARY KEY (callee=?)",
		youngQuery:         "SEARCH facts USING INTEGER PRIMARY KEY (rowid>?)",
		youngContents.many: "SEARCH f USING INTEGER PRIMARY KEY (rowid=?)",
		indexStepQuery:     "SEARCH callee_facts USING PRIMARY KEY ((callee,position)>(?,?))",
		ownerQuery:         "SEARCH facts USING INTEGER PRIMARY KEY (rowid=?)",

		latestDecisionsQuery: "SEARCH decisions USING INDEX decisions_callee (callee=?); USE TEMP B-TREE FOR LAST TERM OF ORDER BY",
	} {
		if got := plan(t, s, query); got != want {
			t.Errorf("%s\nis planned as %q,\nwant %q", query, got, want)
		}
	}
}

func plan(t *testing.T, s *SQLite, query string) string {
	t.Helper()
	rows, err := s.writer.conn.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "; ")
}

func TestErrorsOfSQLiteAreTold(t *testing.T) {
	for code, want := range map[int]error{11: ErrCorrupt, 267: ErrCorrupt, 26: ErrCorrupt, 8: ErrNotWritable, 14: ErrNotWritable, 13: ErrUnavailable, 5: ErrUnavailable, 1034: ErrUnavailable, 1: ErrUnavailable} {
		err := fault(filepath.Join("folder", "ledger.db"), fmt.Errorf("wrapped: %w", codeOnly(code)))
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "ledger.db") {
			t.Errorf("code %d is told as %v, want %v", code, err, want)
		}
	}
	for code, want := range map[int]bool{10: true, 1034: true, 1290: true, 778: true, 13: false, 5: false, 4874: false, 0: false} {
		if got := losesTrust(codeOnly(code)); got != want {
			t.Errorf("code %d loses trust: %v, want %v", code, got, want)
		}
	}
}

// codeOnly is an error with a result code, as the driver's are.
type codeOnly int

func (c codeOnly) Error() string { return fmt.Sprint("code ", int(c)) }

func (c codeOnly) Code() int { return int(c) }
