package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/rig"
)

// crm is a database as a CRM might have it.
func crm(t testing.TB) string {
	t.Helper()
	database := rig.SharedPostgres(t).Database(t)
	rig.Run(t, database,
		`CREATE TABLE people (id int PRIMARY KEY, phone text, phone_number numeric, opted_out timestamptz, local timestamp, day date, org varchar(20),
			lists text[], how char(10), wise bool, spoilt float8, note text)`,
		`INSERT INTO people VALUES
			(1, '06-12345678', 31612345678, '2026-11-20 14:05:30.25+01', '2026-11-20 14:05', '2026-11-20', 'voltwerk', '{power,"gas, water"}', 'ivr', true, 31612345678, 'a'),
			(2, 'geen', 31612345679, '2026-11-20 14:05+01', NULL, '2026-11-21', 'voltwerk', NULL, 'web', false, 0, NULL),
			(3, '0612345670', NULL, NULL, '2026-11-20 14:05', 'infinity', 'voltwerk', '{}', 'web', NULL, 0, NULL)`)
	return database
}

func asked(t testing.TB, kind Kind, database, sql string, change ...func(*Options)) (facts []*belpoortv1.RecordFactRequest, rejects [][]string, report Report, err error) {
	t.Helper()
	var written bytes.Buffer
	to := &handed{}
	opts := Options{Kind: kind, Rejects: &written, Clock: func() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) }}
	for _, c := range change {
		c(&opts)
	}
	report, err = ImportQuery(t.Context(), Query{Database: database, SQL: sql}, opts, to)
	return to.facts, readRejects(t, written.Bytes(), report), report, err
}

// Values of every type become what a file would hold, and rows are rejected alike.
func TestAQueryGivesRowsAsAFileDoes(t *testing.T) {
	database := crm(t)
	facts, rejects, report, err := asked(t, Objections, database, "SELECT phone AS telefoon, org AS organisatie, opted_out AS datum, how AS via FROM people ORDER BY id")
	if err != nil || report.Rows != 3 || len(facts) != 1 {
		t.Fatalf("%+v, %v, %q", report, err, rejects)
	}
	o := facts[0].GetFact().GetObjection()
	want := time.Date(2026, 11, 20, 13, 5, 30, 250_000_000, time.UTC)
	if facts[0].GetCallee() != "+31612345678" || !o.GetObjectTime().AsTime().Equal(want) || o.GetVia() != belpoortv1.Via_VIA_IVR || o.GetOrganisation() != "voltwerk" {
		t.Errorf("%v", facts[0])
	}
	if len(rejects) != 2 {
		t.Fatalf("%q", rejects)
	}
	wantReject(t, rejects[:1], "2", "telefoon", "bad_number", "bad character")
	wantReject(t, rejects[1:], "3", "datum", "missing", "is empty")

	facts, rejects, _, err = asked(t, Relationships, database, `SELECT phone AS telefoon, 'klant' AS soort, org AS organisatie, local AS sinds, day AS tot,
		wise AS verzet_aangeboden FROM people WHERE id <> 2 ORDER BY id`)
	if err != nil || len(facts) != 1 {
		t.Fatalf("%v, %q", err, rejects)
	}
	r := facts[0].GetFact().GetRelationship()
	if !r.GetStartTime().AsTime().Equal(amsterdam(t, "2026-11-20T14:05:00+01:00").AsTime()) || r.GetNoObjectionOfferAtCollection() {
		t.Errorf("%v", r)
	}
	wantReject(t, rejects, "2", "tot", "bad_date", "must be a date")

	for column, reason := range map[string]Reason{
		"spoilt * 1e10": SpoiltNumber, "612345678": SpoiltNumber, "phone_number": BadNumber, "lists": BadNumber, "day": BadNumber, "note": BadNumber, "json '{}'": BadNumber,
	} {
		_, rejects, report, err := asked(t, ListEntries, database, "SELECT "+column+" AS telefoon, 'L' AS lijst, day AS stand_van FROM people WHERE id = 1")
		if err != nil || report.Reasons[reason] != 1 || report.Rejected != 1 {
			t.Errorf("%s: %+v, %v, %q", column, report, err, rejects)
		}
	}
	facts, rejects, _, err = asked(t, Consents, database, `SELECT phone AS telefoon, 'C-1' AS consent_id, ARRAY[org] AS organisaties, lists AS producten, 'COMMERCIAL' AS doel,
		'J. Jansen' AS persoon, opted_out AS toestemming_op, 'webformulier' AS methode, 'https://voltwerk.example' AS bron, 'v1' AS tekst, 's3://x' AS bewijs,
		sha256('x') AS sha256, wise AS eigen_initiatief FROM people WHERE id = 1`)
	if err != nil || len(facts) != 1 {
		t.Fatalf("%v, %q", err, rejects)
	}
	c := facts[0].GetFact().GetConsent()
	if len(c.GetProducts()) != 3 || len(c.GetEvidence().GetSha256()) != 64 || !c.GetOwnInitiative() {
		t.Errorf("%v", c)
	}
}

// What is wrong with a query is said, and the database is never changed: not by the query, nor by what stands behind a semicolon.
func TestAQueryOnlyReads(t *testing.T) {
	database := crm(t)
	row := "SELECT '0612345678' AS telefoon, 'o' AS organisatie, date '2026-01-01' AS datum, 'web' AS via"
	rig.Run(t, database, "CREATE FUNCTION strike() RETURNS text LANGUAGE sql AS 'DELETE FROM people; SELECT ''0612345678'''",
		"CREATE FUNCTION fails() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE '%', 'who is 06 12345678' || chr(27) || '?'; END $$")
	for _, c := range []struct{ sql, problem string }{
		{"", "the query is missing"},
		{"DELETE FROM people", "syntax error"},
		{row + "; DELETE FROM people", "SQLSTATE 42601"},
		{row + "; COMMIT; DELETE FROM people", "SQLSTATE 42601"},
		{"WITH gone AS (DELETE FROM people RETURNING phone) SELECT * FROM gone", "SQLSTATE"},
		{"SELECT strike() AS telefoon, 'o' AS organisatie, date '2026-01-01' AS datum, 'web' AS via", "read-only transaction"},
		{"SELECT fails() AS telefoon", "** *****"},
		{"SELECT phone FROM nowhere", "(SQLSTATE 42P01)"},
		{"SELECT phone AS telefoon, note AS kleur FROM people", `the columns of the query: "kleur" is no column of objections`},
		{"SELECT phone AS telefoon FROM people", "the columns of the query: lacks organisation"},
		{"SELECT phone AS telefoon, phone AS tel FROM people", "a second time"},
		{"SELECT 1", "?column?"},
	} {
		_, _, report, err := asked(t, Objections, database, c.sql)
		if err == nil || !strings.Contains(err.Error(), c.problem) || report.Recorded != 0 || strings.ContainsAny(err.Error(), "\x1b\n") || strings.Contains(err.Error(), "12345678") {
			t.Errorf("%s: %v, want %q", c.sql, err, c.problem)
		}
	}
	rig.Query(t, database, func(conn *pgx.Conn) error {
		var people int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM people").Scan(&people)
		if err == nil && people != 3 {
			err = fmt.Errorf("%d people are left", people)
		}
		return err
	})
}

// A statement that hangs is given up, and rows beyond the limits are rejected or end the import, each as it must.
func TestAQueryIsBounded(t *testing.T) {
	database := crm(t)
	began := time.Now()
	_, err := ImportQuery(t.Context(), Query{Database: database, SQL: "SELECT pg_sleep(600) AS telefoon", Timeout: 200 * time.Millisecond},
		Options{Kind: Objections}, &handed{})
	if !errors.Is(err, ErrDatabase) || !strings.Contains(err.Error(), "statement timeout") || time.Since(began) > time.Minute {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	row := "'o' AS organisatie, date '2026-01-01' AS datum, 'web' AS via, "
	_, rejects, _, err := asked(t, Objections, database, "SELECT '0612345678' AS telefoon, "+row+"repeat('x', 70000) AS toelichting")
	if err != nil {
		t.Fatal(err)
	}
	wantReject(t, rejects, "1", "", "too_long", "65536 bytes")
	facts, _, report, err := asked(t, Objections, database,
		"SELECT '06123' || n AS telefoon, "+row+"CASE n WHEN 10999 THEN repeat('x', 2000000) END AS toelichting FROM generate_series(10000, 11500) n")
	if !errors.Is(err, ErrDatabase) || len(facts) != 999 || report.Rows != 999 {
		t.Errorf("%+v, %v", report, err)
	}
	columns := strings.Repeat("1 AS c, ", 300)
	if _, _, report, err := asked(t, Objections, database, "SELECT "+columns+"2 AS d"); err == nil || report.Rows != 0 {
		t.Errorf("301 columns: %+v, %v", report, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ImportQuery(gone, Query{Database: database, SQL: "SELECT 1"}, Options{Kind: Objections}, &handed{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// A million rows pass through in the memory of a few.
func TestAQueryTakesFlatMemory(t *testing.T) {
	database := crm(t)
	rows := 1_000_000
	if underRace {
		rows = 100_000
	}
	var peak uint64
	opts := Options{Kind: ListEntries, Progress: func(p Progress) {
		if p.Rows%50_000 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}}
	nobody := recorderFunc(func(_ context.Context, facts []*belpoortv1.RecordFactRequest) (Result, error) {
		return Result{Recorded: uint64(len(facts))}, nil
	})
	sql := fmt.Sprintf("SELECT '06' || n AS telefoon, 'L' AS lijst, date '2026-01-01' AS stand_van FROM generate_series(10000000, %d) n", 10_000_000+rows-1)
	report, err := ImportQuery(t.Context(), Query{Database: database, SQL: sql}, opts, nobody)
	if err != nil || report.Recorded != uint64(rows) {
		t.Fatalf("%+v, %v", report, err)
	}
	t.Logf("%d rows, at most %d MiB", rows, peak>>20)
	if peak > 64<<20 {
		t.Errorf("%d MiB at the peak", peak>>20)
	}
}

// The same rows are seen as the same, others as others.
func TestARowIsSeenApart(t *testing.T) {
	database := crm(t)
	seen := func(sql string) string {
		var b bytes.Buffer
		_, _ = ImportQuery(t.Context(), Query{Database: database, SQL: sql, Seen: &b}, Options{Kind: Objections, IgnoreUnknown: true}, &handed{})
		return b.String()
	}
	all := map[string]string{}
	for _, sql := range []string{"SELECT 'a' AS x, 'b' AS y", "SELECT 'ab' AS x, '' AS y", "SELECT 'ab' AS x, NULL AS y", "SELECT '' AS x, 'ab' AS y", "SELECT 'a1:b' AS x, '' AS y"} {
		s := seen(sql)
		if s == "" || all[s] != "" || s != seen(sql) {
			t.Errorf("%s is seen as %q, like %s", sql, s, all[s])
		}
		all[s] = sql
	}
}

// The password comes from the file or the environment as well, and stands in no error.
func TestThePasswordIsKept(t *testing.T) {
	server := rig.NewPostgres(t)
	database := server.Database(t)
	const secret = "s3cret/w0rd"
	rig.Run(t, database, "CREATE ROLE crm LOGIN PASSWORD '"+secret+"'")
	access := filepath.Join(server.Data(), "pg_hba.conf")
	if err := os.WriteFile(access, []byte("host all postgres all trust\nhost all crm all scram-sha-256\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rig.Run(t, database, "SELECT pg_reload_conf()")
	u, _ := url.Parse(rig.As("crm", database))
	host, port, _ := net.SplitHostPort(u.Host)
	sql := "SELECT 'geen' AS telefoon, 'o' AS organisatie, date '2026-01-01' AS datum, 'web' AS via"
	opens := func(connection string) error {
		t.Helper()
		report, err := ImportQuery(t.Context(), Query{Database: connection, SQL: sql}, Options{Kind: Objections}, &handed{})
		if err == nil && report.Rows != 1 {
			t.Errorf("%+v", report)
		}
		return err
	}
	t.Setenv("HOME", t.TempDir())
	if err := opens(u.String()); !errors.Is(err, ErrDatabase) {
		t.Errorf("without a password: %v", err)
	}
	file := filepath.Join(t.TempDir(), "pgpass")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s:%s:*:crm:%s\n", host, port, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGPASSFILE", file)
	if err := opens(u.String()); err != nil {
		t.Errorf("with a password file: %v", err)
	}
	wrong, right := *u, *u
	wrong.User, right.User = url.UserPassword("crm", "wr0ng"+secret), url.UserPassword("crm", secret)
	if err := opens(right.String()); err != nil {
		t.Errorf("with a password: %v", err)
	}
	for _, connection := range []string{
		wrong.String(), strings.Replace(right.String(), u.Host, "127.0.0.1:1", 1), strings.Replace(right.String(), "sslmode=disable", "sslmode=?", 1),
		"postgres://crm:" + secret + "@[", "host=127.0.0.1 port=1 user=crm password=" + secret + " dbname=x sslmode=disable",
		strings.Replace(right.String(), nameIn(t, database), "nowhere", 1),
	} {
		if err := opens(connection); err == nil || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "w0rd") {
			t.Errorf("%v", err)
		}
	}
}

// nameIn is the name of the database that a URL leads to.
func nameIn(t *testing.T, database string) string {
	t.Helper()
	name, err := DatabaseName(database)
	if err != nil || name != rig.NameOf(database) {
		t.Fatalf("%q, %v", name, err)
	}
	return name
}

// A database that does not answer is given up after the time that the connection string says.
func TestADatabaseThatIsSilentIsGivenUp(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	_, err = ImportQuery(t.Context(), Query{Database: "postgres://crm@" + silent.Addr().String() + "/crm?sslmode=disable&connect_timeout=1", SQL: "SELECT 1"},
		Options{Kind: Objections}, &handed{})
	if took := time.Since(began); !errors.Is(err, ErrDatabase) || took > 9*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	if config, err := (&Query{Database: "postgres://crm@127.0.0.1/crm"}).config(); err != nil || config.ConnectTimeout != connectTimeout {
		t.Errorf("%+v, %v", config, err)
	}
}
