package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/rig"
)

const ledgerSecret = "s3cret-w0rd"

// TestMigrate also from the schema that the first ledgers on PostgreSQL had, with the role's password in the URL.
func TestMigrate(t *testing.T) {
	withSecret := func(url string) string { return strings.Replace(url, "postgres@", "postgres:"+ledgerSecret+"@", 1) }
	url := rig.SharedPostgres(t).Database(t)
	newest := 0
	if said := wantMigrated(t, withSecret(url), exitOK); !scans(said, "schema migrated from version 0 to %d\n", &newest) || newest < 2 {
		t.Fatalf("the first time: %q", said)
	}
	if said, want := wantMigrated(t, withSecret(url), exitOK), fmt.Sprintf("schema version %d: up to date\n", newest); said != want {
		t.Errorf("the second time: %q, want %q", said, want)
	}
	rig.Run(t, url, "DROP TABLE nodes, allowed", "ALTER TABLE decisions DROP COLUMN call_id, DROP COLUMN number", "DELETE FROM goose_db_version WHERE version_id > 1")
	if said, want := wantMigrated(t, withSecret(url), exitOK), fmt.Sprintf("schema migrated from version 1 to %d\n", newest); said != want {
		t.Errorf("from the first schema: %q, want %q", said, want)
	}
	rig.Query(t, url, func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), "SELECT applied, announced, number, call_id FROM nodes, decisions")
		return err
	})
	rig.Run(t, url, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1234, true)")
	wantMigrated(t, withSecret(url), exitFailed, "schema 1234", "use a newer belpoort")
}

func TestMigrateRefusesBadInput(t *testing.T) {
	wantMigrated(t, "", exitUsage, "--ledger is missing", "postgres://")
	for _, wrong := range []string{"mysql://root:" + ledgerSecret + "@127.0.0.1/x", "postgres://u:" + ledgerSecret + "@host:port/x", "postgres://u:" + ledgerSecret + "@ho st/x%zz",
		"postgres://u:" + ledgerSecret + "@127.0.0.1/x?sslmode=perhaps", "host=127.0.0.1 password=" + ledgerSecret + " port=x", ledgerSecret} {
		wantMigrated(t, wrong, exitUsage, "--ledger", "ledger URL cannot be read")
	}
	wantMigrated(t, "postgres://u:"+ledgerSecret+"@127.0.0.1:1/x", exitFailed, "127.0.0.1:1", "start the server")
	wantMigrated(t, "host=127.0.0.1 port=1 user=u password="+ledgerSecret, exitFailed, "127.0.0.1:1", "start the server")
	nowhere := strings.Replace(rig.SharedPostgres(t).URL("nowhere"), "postgres@", "postgres:"+ledgerSecret+"@", 1)
	wantMigrated(t, nowhere, exitFailed, "nowhere", "create the database")
}

// wantMigrated runs the command, and sees to it that it says what it should, and nothing of the password.
func wantMigrated(t *testing.T, url string, code int, says ...string) string {
	t.Helper()
	got, said := cli(t, "migrate", "--ledger", url)
	if got != code {
		t.Errorf("exit %d, want %d: %s", got, code, said)
	}
	for _, want := range says {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	if strings.Contains(said, ledgerSecret) {
		t.Errorf("it shows the password: %s", said)
	}
	return said
}

func scans(text, format string, into ...any) bool {
	n, err := fmt.Sscanf(text, format, into...)
	return err == nil && n == len(into)
}
