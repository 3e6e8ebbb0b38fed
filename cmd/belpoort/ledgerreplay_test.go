package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// tamper changes the one ALLOW in a ledger that nobody serves.
func tamper(t *testing.T, data string, change func(*belpoortv1.Decision)) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder(data).ledger(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var id, payload []byte
	if err := db.QueryRow("SELECT id, payload FROM decisions WHERE number IS NOT NULL").Scan(&id, &payload); err != nil {
		t.Fatal(err)
	}
	if change == nil {
		_, err = db.Exec("DELETE FROM decisions WHERE id = ?", id)
	} else {
		m, bad := record.UnmarshalDecision(payload)
		if bad != nil {
			t.Fatal(bad)
		}
		change(m)
		if payload, err = record.MarshalDecision(m); err == nil {
			_, err = db.Exec("UPDATE decisions SET payload = ? WHERE id = ?", payload, id)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// asked is a stopped service that has allowed one call, by one of two consents.
func asked(t *testing.T) *process {
	t.Helper()
	p := stocked(t)
	p.must("import", "consents", write(t, t.TempDir(), "two.csv", consentsFile(allowedNumber, allowedNumber)))
	if code, answer := p.check(allowedNumber, "--person", personsName); code != exitOK {
		t.Fatalf("exit %d: %v", code, answer)
	}
	p.check("06-12345699")
	p.must("decisions", "--verdict", "ALLOW") // waits until it is in the ledger
	return p
}

// TestAllowsAreDecidedAgain: while the service runs and after it, from its folder and from a backup; one on another law, and one
// whose number is gone, are told.
func TestAllowsAreDecidedAgain(t *testing.T) {
	p := asked(t)
	const same = "1 ALLOWs decided again, each the same"
	code, out := cli(t, "ledger", "verify", "--data", p.data, "--replay")
	if code != exitOK || !strings.Contains(out, same) || !strings.Contains(out, "decisions of the journal are in the ledger word for word") {
		t.Fatalf("while it serves: exit %d: %s", code, out)
	}
	backup := filepath.Join(t.TempDir(), "b.db")
	if code, out := cli(t, "backup", backup, "--data", p.data); code != exitOK {
		t.Fatal(out)
	}
	if code, out := cli(t, "ledger", "verify", backup, "--data", p.data, "--replay"); code != exitOK || !strings.Contains(out, same) {
		t.Errorf("a backup: exit %d: %s", code, out)
	}
	if code, out := cli(t, "ledger", "verify", backup, "--data", t.TempDir(), "--replay"); code == exitOK || !strings.Contains(out, "deployment's key") {
		t.Errorf("without a key: exit %d: %s", code, out)
	}
	other := t.TempDir()
	law, err := os.ReadFile("../../eligibility/law/nl.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, other, "nl.yaml", string(law)+"\n# another version\n")
	if code, out := cli(t, "ledger", "verify", backup, "--data", p.data, "--replay", "--law", other); code != exitOK || !strings.Contains(out, "0 ALLOWs decided again") || !strings.Contains(out, "1 under another law version") {
		t.Errorf("another law: exit %d: %s", code, out)
	}
	p.must("erase", allowedNumber, "--yes")
	if code, out := cli(t, "ledger", "verify", "--data", p.data, "--replay"); code != exitOK || !strings.Contains(out, "0 ALLOWs decided again") || !strings.Contains(out, "1 whose facts or number are not there") {
		t.Errorf("erased: exit %d: %s", code, out)
	}
}

// TestAnAllowThatComesOutOtherwiseIsFound, though its evidence is a consent of the same person, and known. The mutant
// mutant_replay_verdict_alone must fail here.
func TestAnAllowThatComesOutOtherwiseIsFound(t *testing.T) {
	p := asked(t)
	p.stop()
	tamper(t, p.data, func(m *belpoortv1.Decision) { m.Basis.EvidencePosition -= 2 }) // the other consent; between them stands the report of the import
	code, out := cli(t, "ledger", "verify", "--data", p.data, "--replay")
	if code != exitFailed || !strings.Contains(out, "DIFFERENT  decision") || !strings.Contains(out, "position 4") || strings.Contains(out, "UNSUPPORTED") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// TestWhatTheJournalShippedMustBeInTheLedger: another text, or nothing under the id. The mutant mutant_journal_uncompared must
// fail here.
func TestWhatTheJournalShippedMustBeInTheLedger(t *testing.T) {
	p := asked(t)
	p.stop()
	if code, out := cli(t, "ledger", "verify", "--data", p.data); code != exitOK || !strings.Contains(out, "2 decisions of the journal are in the ledger word for word, 0 are on their way") {
		t.Fatalf("before: exit %d: %s", code, out)
	}
	tamper(t, p.data, func(m *belpoortv1.Decision) { m.Client = "somebody else" })
	if code, out := cli(t, "ledger", "verify", "--data", p.data); code != exitFailed || !strings.Contains(out, "in other words than the journal") {
		t.Errorf("changed: exit %d: %s", code, out)
	}
	tamper(t, p.data, nil)
	if code, out := cli(t, "ledger", "verify", "--data", p.data); code != exitFailed || !strings.Contains(out, "the ledger does not have it") {
		t.Errorf("removed: exit %d: %s", code, out)
	}
}
