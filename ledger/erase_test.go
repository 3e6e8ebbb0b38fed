package ledger_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
)

const markedNumber, markedPerson = "sealed bytes of the number \x00\xff\x01", "Person Namedforthistest"

func marked(n int) ledger.Append {
	f := ledgertest.Fact(n, fmt.Sprint("marked ", n))
	f.SealedNumber = []byte(markedNumber + fmt.Sprintf("%06d.", n))
	f.Payload = []byte(strings.Repeat("x", n%3000) + markedPerson + fmt.Sprintf("%06d.", n))
	return f
}

func left(t *testing.T, dir string, n int) (where []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content := mustRead(t, filepath.Join(dir, f.Name()))
		for _, mark := range []string{markedNumber, markedPerson} {
			if bytes.Contains(content, []byte(mark+fmt.Sprintf("%06d.", n))) {
				where = append(where, fmt.Sprintf("%q in %s", mark, f.Name()))
			}
		}
	}
	return where
}

func eraseMarked(t *testing.T, l ledger.Ledger, n int) {
	t.Helper()
	known, err := l.Facts(t.Context(), ledgertest.Callee(n), 0)
	if err != nil || len(known.Entries) == 0 {
		t.Fatalf("callee %d: %d facts, %v", n, len(known.Entries), err)
	}
	_, err = l.Erase(t.Context(), ledger.Erasure{
		Fact:  ledger.Append{RequestKey: fmt.Sprint("erase ", n), Callee: ledgertest.Callee(n), Kind: 99, Payload: []byte("e")},
		Kinds: []int32{7}, Through: known.Entries[len(known.Entries)-1].Position,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestErasedBytesAreNotInTheFiles searches the ledger's files for what was erased, short and long, while it is open. Others
// stand where they stood.
func TestErasedBytesAreNotInTheFiles(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, ledger.Options{})
	const callees = 1500
	for from := 0; from < callees; from += 500 {
		var facts []ledger.Append
		for i := range 500 {
			facts = append(facts, marked((from+i)*2654435761%1_000_003%callees))
		}
		known := map[string]bool{}
		var fresh []ledger.Append
		for _, f := range facts {
			if !known[f.RequestKey] {
				known[f.RequestKey] = true
				fresh = append(fresh, f)
			}
		}
		mustAppend(t, l, fresh...)
	}
	for n := 3; n < callees; n += 149 {
		if _, err := l.SealedNumber(t.Context(), ledgertest.Callee(n)); err != nil {
			continue
		}
		if where := left(t, dir, n); len(where) < 2 {
			t.Fatalf("callee %d before the erasure: %v", n, where)
		}
		eraseMarked(t, l, n)
		if where := left(t, dir, n); len(where) > 0 {
			t.Errorf("callee %d after the erasure: %v", n, where)
		}
	}
	if r := verify(t, l); !r.OK() || r.Erased < 5 {
		t.Errorf("Verify: %+v", r)
	}
	if where := left(t, dir, 4); len(where) < 2 {
		t.Errorf("another callee: %v", where)
	}
}

// TestAnErasureThatWasCutShortIsFinished: the process ended after the commit, with the old pages in the write-ahead log.
func TestAnErasureThatWasCutShortIsFinished(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	l := open(t, dir, ledger.Options{})
	mustAppend(t, l, marked(1), marked(2))
	reader := beside(t, filepath.Join(dir, "ledger.db"))
	looking, err := reader.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := looking.QueryRow("SELECT count(*) FROM facts").Scan(&n); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, ledgertest.Fact(3, "after"))
	known, _ := l.Facts(t.Context(), ledgertest.Callee(1), 0)
	erase := ledger.Erasure{Fact: ledger.Append{RequestKey: "e", Callee: ledgertest.Callee(1), Kind: 99}, Kinds: []int32{7}, Through: known.Entries[0].Position}
	if _, err := l.Erase(context.Background(), erase); err == nil || !strings.Contains(err.Error(), "repeat the erasure") {
		t.Errorf("with a reader: %v", err)
	}
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		if err := os.WriteFile(filepath.Join(copied, name), mustRead(t, filepath.Join(dir, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(left(t, copied, 1)) == 0 {
		t.Fatal("the files of the dead process hold nothing of it, so the test shows nothing")
	}
	opened := open(t, copied, ledger.Options{})
	if where := left(t, copied, 1); len(where) > 0 {
		t.Errorf("after opening what the dead process left: %v", where)
	}
	if e, err := opened.Entry(t.Context(), 1); err != nil || !e.Erased {
		t.Errorf("the fact: %+v, %v", e, err)
	}
	if err := looking.Rollback(); err != nil {
		t.Fatal(err)
	}
	if again, err := l.Erase(t.Context(), erase); err != nil || !again.Repeated {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	if where := left(t, dir, 1); len(where) > 0 {
		t.Errorf("after the repeat: %v", where)
	}
}
