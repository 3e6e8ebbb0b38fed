package ledger_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/rig"
)

func wantPostgresRefusal(t *testing.T, url string, want error, says ...string) {
	t.Helper()
	l, err := ledger.OpenPostgres(t.Context(), url, ledger.Options{})
	if err == nil {
		l.Close()
	}
	if !errors.Is(err, want) {
		t.Fatalf("opening gives %v, want %v", err, want)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows the password: %v", err)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

// unchanged gives a check that a database has the tables that it has now.
func unchanged(t *testing.T, url string) (check func()) {
	t.Helper()
	tables := func() (names string) {
		rig.Query(t, url, func(conn *pgx.Conn) error {
			return conn.QueryRow(t.Context(), "SELECT coalesce(string_agg(tablename, ' ' ORDER BY tablename), '') FROM pg_tables WHERE schemaname = 'public'").Scan(&names)
		})
		return names
	}
	before := tables()
	return func() {
		t.Helper()
		if after := tables(); after != before {
			t.Errorf("the tables were %q, now they are %q", before, after)
		}
	}
}

func TestPostgresThatCannotBeTrustedIsRefused(t *testing.T) {
	s := rig.SharedPostgres(t)
	url := s.Database(t)
	openPostgres(t, url, ledger.Options{}).Close()
	alter := "ALTER DATABASE " + rig.NameOf(url) + " "
	rig.Run(t, url, alter+"SET synchronous_commit = off")
	wantPostgresRefusal(t, url, ledger.ErrUnavailable, "synchronous_commit is off", "set it to on")
	rig.Run(t, url, alter+"SET synchronous_commit = local")
	openPostgres(t, url, ledger.Options{}).Close() // there is no standby
	rig.Run(t, url, alter+"RESET synchronous_commit", alter+"SET default_transaction_read_only = on")
	wantPostgresRefusal(t, url, ledger.ErrNotWritable, "read only", "name the primary")
	rig.Run(t, s.URL("postgres"), alter+"RESET default_transaction_read_only")
	rig.Run(t, url, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1234, true)")
	wantPostgresRefusal(t, url, ledger.ErrNewerSchema, "schema 1234", "use a newer belpoort")
	rig.Run(t, url, "DELETE FROM goose_db_version WHERE version_id = 1234")
	openPostgres(t, url, ledger.Options{})
	rig.Run(t, s.URL("postgres"), "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
	wantPostgresRefusal(t, s.URL("latin"), ledger.ErrUnavailable, "LATIN1", "create it with ENCODING 'UTF8'")
}

func TestServerWithoutFsyncIsRefused(t *testing.T) {
	s := rig.NewPostgres(t, "fsync=off")
	url := s.Database(t)
	check := unchanged(t, url)
	wantPostgresRefusal(t, url, ledger.ErrUnavailable, "fsync is off", "set fsync = on")
	check()
}

func TestStandbyIsRefused(t *testing.T) {
	s := rig.NewPostgres(t)
	url := s.Database(t)
	l := openPostgres(t, url, ledger.Options{})
	standby := s.Standby(t)
	mustAnnounce(t, l, nodeID(1), 0)
	onStandby := standby.URL(rig.NameOf(url))
	rig.WaitFor(t, onStandby, "SELECT count(*) = 1 FROM nodes")
	wantPostgresRefusal(t, onStandby, ledger.ErrNotWritable, "standby", "name the primary")
}

func TestPostgresOutOfReachIsRefused(t *testing.T) {
	s := rig.SharedPostgres(t)
	wantPostgresRefusal(t, s.URL("nowhere"), ledger.ErrUnavailable, "nowhere", "create the database")
	wantPostgresRefusal(t, rig.As("nobody", s.URL("postgres")), ledger.ErrUnavailable, "nobody", "correct user and password")
	for _, wrong := range []string{"", "nonsense", "mysql://u:secret@127.0.0.1/x", "postgres://u:secret@host:notaport/x", "postgres://u:secret@h/x?sslmode=perhaps",
		"postgres://u:secret@h o/x", "host=h password=secret port=x", "host=h password='secret", "postgres://u@h/x?password=secret&sslmode=perhaps"} {
		wantPostgresRefusal(t, wrong, ledger.ErrInvalid, "ledger URL cannot be read", "want postgres://")
	}
	wantPostgresRefusal(t, "postgres://u:secret@127.0.0.1:1/x", ledger.ErrUnavailable, "127.0.0.1:1", "start the server, or correct host and port")
}

// TestRolesWithoutRightsAreRefused: one that may not connect, one that may not make tables, one that may not use those that
// are there, and one that owns nothing of it.
func TestRolesWithoutRightsAreRefused(t *testing.T) {
	s := rig.SharedPostgres(t)
	empty, stocked := s.Database(t), s.Database(t)
	openPostgres(t, stocked, ledger.Options{}).Close()
	rig.Run(t, empty, "CREATE ROLE guest LOGIN", "CREATE ROLE reader LOGIN", "CREATE ROLE user_of_tables LOGIN", "CREATE ROLE proprietor LOGIN")
	wantPostgresRefusal(t, rig.As("guest", empty), ledger.ErrNotWritable, "permission denied", "use the role that owns the database")
	check := unchanged(t, empty)
	rig.Run(t, empty, "REVOKE CONNECT ON DATABASE "+rig.NameOf(empty)+" FROM PUBLIC")
	wantPostgresRefusal(t, rig.As("guest", empty), ledger.ErrNotWritable, "permission denied for database", "use the role that owns the database")
	check()
	rig.Run(t, stocked, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", "GRANT ALL ON ALL TABLES IN SCHEMA public TO user_of_tables",
		"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO user_of_tables", "GRANT CREATE ON SCHEMA public TO user_of_tables")
	wantPostgresRefusal(t, rig.As("reader", stocked), ledger.ErrNotWritable, "INSERT on facts", "UPDATE on head", "DELETE on nodes", "USAGE on announcements", "CREATE on schema public")
	wantPostgresRefusal(t, rig.As("user_of_tables", stocked), ledger.ErrNotWritable, "lacks ownership of decisions")
	rig.Run(t, empty, "ALTER DATABASE "+rig.NameOf(empty)+" OWNER TO proprietor")
	l := openPostgres(t, rig.As("proprietor", empty), ledger.Options{})
	mustAnnounce(t, l, nodeID(1), 0)
	if err := l.ShipDecisions(t.Context(), "j", 0, 1, nil); err != nil {
		t.Errorf("shipping as the owner: %v", err)
	}
}

// TestOtherApplicationsTablesAreLeftAlone also where that application counts its migrations in a table of the same name.
func TestOtherApplicationsTablesAreLeftAlone(t *testing.T) {
	const versions = "CREATE TABLE goose_db_version (id serial PRIMARY KEY, version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp DEFAULT now())"
	for what, statements := range map[string][]string{
		"facts":                      {"CREATE TABLE facts (animal text)"},
		"head, places":               {"CREATE TABLE head (position text)", "CREATE TABLE places (name text)"},
		"nodes":                      {"CREATE TABLE nodes (id int)"},
		"goose_db_version":           {versions, "CREATE TABLE users (id int)", "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true)"},
		"meta, goose_db_version":     {versions, "CREATE TABLE meta (id int)", "INSERT INTO goose_db_version (version_id, is_applied) VALUES (20240101, true)"},
		"goose_db_version (columns)": {"CREATE TABLE goose_db_version (note text)"},
	} {
		url := rig.SharedPostgres(t).Database(t)
		rig.Run(t, url, statements...)
		check := unchanged(t, url)
		names, _, _ := strings.Cut(what, " (")
		wantPostgresRefusal(t, url, ledger.ErrCorrupt, "another application's tables ("+names+")", "name an empty database")
		check()
	}
}
