package main

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/rig"
)

// In every ledger a report of an import is part of the chain, and nothing that is decided, explained or erased minds it.
func TestReportsStandInEveryLedger(t *testing.T) {
	sqlite := stocked(t)
	shared := startCluster(t, 2)
	shared.nodes[0].consents(0, 1)
	for _, c := range []struct {
		name   string
		p      *process
		verify []string
	}{
		{"SQLite", sqlite, []string{"ledger", "verify", "--data", sqlite.data}},
		{"PostgreSQL", shared.nodes[0].process, []string{"ledger", "verify", "--ledger", shared.database, "--data", shared.nodes[0].data}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := write(t, dir, "consents.csv", consentsFile("06-12345671", "06-12345672"))
			c.p.must("import", "consents", file)
			position := importsOf(t, c.p).GetImports()[0].GetPosition()
			c.p.must("import", "consents", file)
			if code, answer := c.p.check("06-12345671"); code != exitOK {
				t.Errorf("exit %d, %v", code, answer)
			}
			stood := c.p.must("explain", "06-12345671", "--campaign", "volt", "--caller-id", shownNumber, "--position", fmt.Sprint(position))
			if !strings.Contains(stood, "OK_CONSENT") {
				t.Errorf("%s", stood)
			}
			c.p.must("erase", "06-12345671", "--request-id", "e-"+c.name, "--reason", "asked", "--yes")
			if code, _ := c.p.check("06-12345671"); code != exitDeny {
				t.Errorf("after the erasure: exit %d", code)
			}
			if held := c.p.must("callee", "06-12345672"); strings.Contains(held, "imp-") || !strings.Contains(held, "consent") {
				t.Errorf("%s", held)
			}
			all := importsOf(t, c.p).GetImports()
			if all[0].GetReport().GetUnchanged() != 2 || all[1].GetReport().GetRecorded() != 2 || all[1].GetPosition() != position {
				t.Errorf("%v", all)
			}
			time.Sleep(200 * time.Millisecond) // the decisions reach the ledger
			if code, out := cli(t, c.verify...); code != exitOK {
				t.Errorf("exit %d\n%s", code, out)
			}
		})
	}
	if there := importsOf(t, shared.nodes[1].process).GetImports(); len(there) != 2 {
		t.Errorf("the other node knows of %d imports", len(there))
	}
}

// What is imported takes force like everything else, and an older consent lifts no objection, whichever comes first.
func TestWhatIsImportedTakesForce(t *testing.T) {
	p := stocked(t)
	dir := t.TempDir()
	objections := func(name, number, at string) string {
		return write(t, dir, name+".csv", "telefoon;organisatie;datum;via\n"+number+";voltwerk;"+at+";web\n")
	}
	recent := time.Now().AddDate(0, 0, -3).Format("02-01-2006 15:04")
	wants := func(when, number string, exitCode int, reason string) {
		t.Helper()
		if code, answer := p.check(number); code != exitCode || answer["reason"] != "REASON_"+reason {
			t.Errorf("%s: exit %d, %v", when, code, answer)
		}
	}
	wants("before", allowedNumber, exitOK, "OK_CONSENT")
	p.must("import", "objections", objections("first", allowedNumber, recent))
	wants("after the objection", allowedNumber, exitDeny, "OBJECTED")
	p.must("import", "consents", write(t, dir, "again.csv", strings.Replace(consentsFile(allowedNumber), ";c-a;", ";c-older;", 1)))
	wants("after an older consent", allowedNumber, exitDeny, "OBJECTED")

	const other = "06-12345679"
	p.must("import", "objections", objections("second", other, recent))
	p.must("import", "consents", write(t, dir, "other.csv", consentsFile(other)))
	wants("a consent of before the objection, imported after it", other, exitDeny, "OBJECTED")

	const third = "06-12345677"
	p.must("import", "consents", write(t, dir, "third.csv", strings.Replace(consentsFile(third), ";c-a;", ";c-third;", 1)))
	wants("a third", third, exitOK, "OK_CONSENT")
	p.must("import", "withdrawals", write(t, dir, "withdrawn.csv", "telefoon;toestemming_id;datum;via\n"+third+";c-third;"+recent+";web\n"))
	if code, answer := p.check(third); code != exitDeny {
		t.Errorf("after the withdrawal: exit %d, %v", code, answer)
	}
}

// Rows of the CRM's own database come in like a file's, with the whole connection string in the environment.
func TestADatabaseIsImported(t *testing.T) {
	p := stocked(t)
	server := rig.NewPostgres(t)
	database := server.Database(t)
	const secret = "s3cretw0rd"
	rig.Run(t, database, "CREATE TABLE optouts (phone text, org text, at timestamptz, how text)",
		"INSERT INTO optouts VALUES ('06-12345678', 'voltwerk', '2026-11-01 10:00+01', 'web'), ('06-1234567x', 'voltwerk', '2026-11-01 10:00+01', 'web'), ('06-12345679', 'nobody', now() - interval '1 day', 'web')",
		"CREATE ROLE crm LOGIN PASSWORD '"+secret+"'", "GRANT SELECT ON optouts TO crm")
	if err := os.WriteFile(filepath.Join(server.Data(), "pg_hba.conf"), []byte("host all postgres all trust\nhost all crm all scram-sha-256\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rig.Run(t, database, "SELECT pg_reload_conf()")
	u, _ := url.Parse(rig.As("crm", database))
	u.User = url.UserPassword("crm", secret)
	rejects := filepath.Join(t.TempDir(), "rejects.csv")
	query := []string{"import", "objections", "--query", "SELECT phone AS telefoon, org AS organisatie, at, how AS via FROM optouts ORDER BY phone", "--rejects", rejects}
	t.Setenv("BELPOORT_FROM", u.String())
	said := ""
	var first importShown
	for run, recorded := range []uint64{1, 0} {
		code, out, errOut := cliApart(t, "", append(query, "--json", "--data", p.data, "--address", p.grpc)...)
		shown := shownReport(t, out)
		if code != exitFailed || shown.Rows != 3 || shown.Recorded != recorded || shown.Rejected != 2 || shown.Reasons["bad_number"] != 1 || shown.Reasons["refused"] != 1 || len(shown.SHA256) != 64 {
			t.Errorf("exit %d, %+v\n%s", code, shown, errOut)
		}
		if run == 0 {
			first = shown
		} else if shown.Import != first.Import {
			t.Errorf("the same rows have the ids %s and %s", first.Import, shown.Import)
		}
		said += out + errOut
	}
	if code, answer := p.check(allowedNumber); code != exitDeny || answer["reason"] != "REASON_OBJECTED" {
		t.Errorf("exit %d, %v", code, answer)
	}
	if lines, err := os.ReadFile(rejects); err != nil || !strings.Contains(string(lines), "\n3,telefoon,bad_number,") && !strings.Contains(string(lines), "\n2,telefoon,bad_number,") {
		t.Errorf("%v\n%s", err, lines)
	}
	m := importsOf(t, p).GetImports()[0].GetReport()
	if m.GetFile() != "postgres:"+rig.NameOf(database) || m.GetOutcome() != belpoortv1.ImportOutcome_IMPORT_OUTCOME_COMPLETED {
		t.Errorf("%v", m)
	}

	host, port, _ := net.SplitHostPort(u.Host)
	wrong := "host=" + host + " port=" + port + " user=crm password=" + secret + "x dbname=" + rig.NameOf(database) + " sslmode=disable"
	for from, want := range map[string]struct {
		code int
		says string
	}{wrong: {exitFailed, "password authentication failed"}, "postgres://crm:" + secret + "@[": {exitUsage, "--from: the connection string"}} {
		t.Setenv("BELPOORT_FROM", from)
		code, out := p.cli(query...)
		if code != want.code || !strings.Contains(out, want.says) {
			t.Errorf("exit %d\n%s", code, out)
		}
		said += out + settings(importCommand().Flags(), os.Environ()) // which a support bundle holds
	}
	if strings.Contains(said, secret) {
		t.Errorf("the password is told:\n%s", said)
	}
	rig.Query(t, database, func(conn *pgx.Conn) error {
		var left int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'belpoort import'").Scan(&left)
		if err == nil && left > 0 {
			err = fmt.Errorf("%d connections are left", left)
		}
		return err
	})
}

// Options of sources that contradict each other are refused before anything is read.
func TestOptionsOfImportsAreChecked(t *testing.T) {
	file := write(t, t.TempDir(), "a.csv", "telefoon\n")
	for want, args := range map[string][]string{
		"want a kind of file":                          {},
		"want files to import":                         {"objections"},
		"take the place of files":                      {"objections", file, "--from", "postgres://h/d", "--query", "SELECT 1"},
		"belong together":                              {"objections", "--query", "SELECT 1"},
		"--query-timeout":                              {"objections", "--from", "postgres://h/d", "--query", "SELECT 1", "--query-timeout", "1ms", "--rejects", "r"},
		"--rejects is needed":                          {"objections", "--from", "postgres://h/d", "--query", "SELECT 1"},
		"--json and --quiet":                           {"objections", file, "--json", "--quiet"},
		"--state is of one file":                       {"objections", file, file, "--state", "s"},
		"--id is of one file":                          {"objections", file, file, "--id", "s"},
		"no telephone number":                          {"objections", file, "--id", "0612345678"},
		"--preset: \"none\" is none":                   {"objections", file, "--preset", "none"},
		"is a folder":                                  {"objections", filepath.Dir(file)},
		"kind: objections is what this mapping is for": {"consents", file, "--preset", "opt-outs"},
		"is no kind of file; want one of":              {"people", file},
	} {
		code, out := cli(t, append([]string{"import", "--dry-run"}, args...)...)
		if code != exitUsage || !strings.Contains(out, want) {
			t.Errorf("%q: exit %d\n%s", args, code, out)
		}
	}
	var none bytes.Buffer
	if code := run(t.Context(), []string{"import", "objections", file, "--data", t.TempDir()}, strings.NewReader(""), &none, &none); code != exitUsage || !strings.Contains(none.String(), "no API key") {
		t.Errorf("without a key: exit %d\n%s", code, &none)
	}
}

// An import that was cut off at one node goes on at another that shares its ledger, and not at a service with a ledger of its own.
func TestAnImportGoesOnAtAnotherNode(t *testing.T) {
	const rows = 20_000
	shared, alone := startCluster(t, 2), serveIn(t, filepath.Join(t.TempDir(), "data"))
	dir := t.TempDir()
	file := entriesFile(t, dir, rows)
	note := file + ".import"
	shared.nodes[0].cutOff(file, note, "list-entries", file)
	noted, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		p       *process
		resumed uint32
	}{{shared.nodes[1].process, 1}, {alone, 0}} {
		write(t, dir, filepath.Base(note), string(noted))
		code, out, errOut := cliApart(t, "", "import", "list-entries", file, "--json", "--data", c.p.data, "--address", c.p.grpc)
		if shown := shownReport(t, out); code != exitFailed || shown.Rows != rows || shown.Resumed != c.resumed {
			t.Errorf("exit %d, %+v, want it resumed %d times\n%s", code, shown, c.resumed, errOut)
		}
		wantReported(t, c.p, func(m *belpoortv1.ImportReport) bool {
			return m.GetRecorded()+m.GetUnchanged() == rows-rows/badEvery && m.GetUnconfirmed() == 0 && m.GetResumed() == c.resumed
		})
	}
}
