package loader

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Query says which rows of a PostgreSQL database are imported.
type Query struct {
	// Database is a connection string, as a URL or in keywords. What it lacks comes from the environment and from the
	// password file, as libpq has it.
	Database string
	// SQL is one SELECT, VALUES or WITH. It runs in a read-only transaction, through a cursor.
	SQL string
	// Timeout bounds each reading of the next rows; 0: a minute. Connecting takes 10 seconds at most, or what the connection
	// string says.
	Timeout time.Duration
	// Seen takes every row that was read, unambiguously, such as for a hash; nil: nobody.
	Seen io.Writer
}

// ErrDatabase means that the database could not be reached, or did not give the rows.
var ErrDatabase = errors.New("the database")

const (
	fetchedRows    = 200     // rows that one reading asks for
	maxDatabaseRow = 1 << 20 // bytes of a row on the wire: a longer one ends the import
	queryGrace     = 5 * time.Second
	connectTimeout = 10 * time.Second
)

// ImportQuery imports the rows of a query, as Import does those of a file. Columns go by their names; lines are rows, the
// first of them 1. Errors of the database wrap ErrDatabase, and never hold the password.
func ImportQuery(ctx context.Context, q Query, opts Options, to Recorder) (Report, error) {
	if err := opts.check(to); err != nil {
		return Report{}, err
	}
	if q.SQL == "" {
		return Report{}, errors.New("the query is missing")
	}
	config, err := q.config()
	if err != nil {
		return Report{}, err
	}
	counted := &countingReader{}
	rows := &queryRows{ctx: ctx, query: q, secret: config.Password, read: counted, types: pgtype.NewMap()}
	defer rows.close()
	if err := rows.open(config); err != nil {
		return Report{}, err
	}
	report, err := importRows(ctx, rows, row{cells: rows.names()}, counted, opts, to)
	var file *FileError
	if errors.As(err, &file) {
		err = fmt.Errorf("the columns of the query: %s", strings.TrimPrefix(file.Problem, "is the header, and "))
	}
	return report, err
}

// DatabaseName is the name of the database that a connection string leads to.
func DatabaseName(connection string) (string, error) {
	config, err := (&Query{Database: connection}).config()
	if err != nil {
		return "", err
	}
	return firstNonEmpty(config.Database, config.User), nil
}

func (q *Query) config() (*pgconn.Config, error) {
	if q.Timeout == 0 {
		q.Timeout = time.Minute
	}
	config, err := pgconn.ParseConfig(q.Database)
	if err != nil { // its words may repeat the connection string
		return nil, errors.New("the connection string of the database cannot be read: want postgres://USER@HOST/DATABASE, or host=HOST user=USER dbname=DATABASE")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.MaxProtocolMessageBodyLen = maxDatabaseRow
	config.RuntimeParams["application_name"] = "belpoort import"
	return config, nil
}

// queryRows reads a cursor, some rows at a time: so each reading is short, however long the import takes.
type queryRows struct {
	ctx     context.Context
	query   Query
	secret  string
	read    *countingReader
	conn    *pgconn.PgConn
	types   *pgtype.Map
	columns []pgconn.FieldDescription
	ready   []row
	line    int
	end     error // what follows the rows that are ready: io.EOF, or why there are no more
}

func (q *queryRows) open(config *pgconn.Config) (err error) {
	ctx, cancel := context.WithTimeout(q.ctx, config.ConnectTimeout+q.query.Timeout+queryGrace)
	defer cancel()
	if q.conn, err = pgconn.ConnectConfig(ctx, config); err != nil {
		return q.failed(err)
	}
	begin := "BEGIN READ ONLY"
	if mutantQueryWrites {
		begin = "BEGIN"
	}
	timeout := fmt.Sprintf("%dms", q.query.Timeout.Milliseconds())
	for _, statement := range []struct {
		sql  string
		args [][]byte
	}{
		{begin, nil},
		{"SELECT set_config('statement_timeout', $1, true), set_config('DateStyle', 'ISO', true), set_config('TimeZone', 'UTC', true)", [][]byte{[]byte(timeout)}},
		{"DECLARE belpoort_import NO SCROLL CURSOR FOR " + q.query.SQL, nil}, // the extended protocol takes one statement only
	} {
		if err := q.conn.ExecParams(ctx, statement.sql, statement.args, nil, nil, nil).Read().Err; err != nil {
			return q.failed(err)
		}
	}
	if q.fetch(); q.end != nil && q.end != io.EOF && len(q.ready) == 0 {
		return q.end
	}
	return nil
}

// close ends the transaction by leaving.
func (q *queryRows) close() {
	if q.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.ctx), queryGrace)
	defer cancel()
	_ = q.conn.Close(ctx)
}

func (q *queryRows) names() []string {
	names := make([]string, len(q.columns))
	for i := range q.columns {
		names[i] = q.columns[i].Name
	}
	return names
}

func (q *queryRows) next() (row, error) {
	for len(q.ready) == 0 {
		if q.end != nil {
			return row{}, q.end
		}
		q.fetch()
	}
	next := q.ready[0]
	q.ready = q.ready[1:]
	return next, nil
}

// fetch makes the next rows ready; where there are none it says why.
func (q *queryRows) fetch() {
	ctx, cancel := context.WithTimeout(q.ctx, q.query.Timeout+queryGrace)
	defer cancel()
	q.ready = q.ready[:0]
	fetched := q.conn.ExecParams(ctx, fmt.Sprintf("FETCH FORWARD %d FROM belpoort_import", fetchedRows), nil, nil, nil, nil)
	if q.columns == nil {
		q.columns = append(q.columns, fetched.FieldDescriptions()...)
	}
	var unseen error
	for fetched.NextRow() {
		q.line++
		q.ready = append(q.ready, q.rowOf(fetched.Values()))
		unseen = errors.Join(unseen, q.seen(fetched.Values()))
	}
	_, err := fetched.Close()
	switch {
	case err != nil:
		q.end = q.failed(err)
	case unseen != nil:
		q.end = unseen
	case len(q.ready) == 0:
		q.end = io.EOF
	}
}

// seen tells a row apart from every other: each value with its length, and absent ones.
func (q *queryRows) seen(values [][]byte) error {
	if q.query.Seen == nil {
		return nil
	}
	for _, v := range values {
		length := fmt.Sprintf("%d:", len(v))
		if v == nil {
			length = "null:"
		}
		if _, err := io.WriteString(q.query.Seen, length); err != nil {
			return err
		}
		if _, err := q.query.Seen.Write(v); err != nil {
			return err
		}
	}
	_, err := io.WriteString(q.query.Seen, "\n")
	return err
}

func (q *queryRows) rowOf(values [][]byte) row {
	found, size := row{line: q.line, cells: make([]string, len(values))}, 0
	for i, v := range values {
		size += len(v)
		q.read.bytes += int64(len(v))
		if size > MaxRow {
			found.fault = &fault{reason: TooLong, problem: fmt.Sprintf("is longer than %d bytes", MaxRow)}
			continue
		}
		cell, err := q.cell(q.columns[i].DataTypeOID, v)
		if err != nil {
			found.fault = &fault{reason: BadValue, column: shown(q.columns[i].Name), problem: "is of a type that no column here has"}
		}
		found.cells[i] = cell
	}
	return found
}

// cell is a value, as the server writes it, as a CSV would hold it.
func (q *queryRows) cell(oid uint32, v []byte) (string, error) {
	if v == nil {
		return "", nil
	}
	switch oid {
	case pgtype.BoolOID:
		return map[string]string{"t": "true", "f": "false"}[string(v)], nil
	case pgtype.TimestamptzOID: // in UTC, as the session says
		return strings.Replace(strings.TrimSuffix(string(v), "+00"), " ", "T", 1) + "Z", nil
	case pgtype.ByteaOID:
		raw, err := hex.DecodeString(strings.TrimPrefix(string(v), `\x`))
		return hex.EncodeToString(raw), err
	case pgtype.TextArrayOID, pgtype.VarcharArrayOID, pgtype.BPCharArrayOID, pgtype.Int2ArrayOID, pgtype.Int4ArrayOID, pgtype.Int8ArrayOID, pgtype.UUIDArrayOID:
		var entries []string
		if err := q.types.Scan(oid, pgtype.TextFormatCode, v, &entries); err != nil {
			return "", err
		}
		return strings.Join(entries, "|"), nil
	}
	return string(v), nil
}

// failed tells what went wrong, without the password and without numbers that the server repeats from its data.
func (q *queryRows) failed(err error) error {
	if q.ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrDatabase, q.ctx.Err())
	}
	sentence, state := strings.Join(strings.Fields(err.Error()), " "), ""
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		sentence, state = maskDigits(refused.Message, phoneDigits), " (SQLSTATE "+refused.Code+")"
	}
	if q.secret != "" {
		sentence = strings.ReplaceAll(sentence, q.secret, "***")
	}
	return fmt.Errorf("%w: %s%s", ErrDatabase, shortSentence(printable(sentence)), state)
}

// shortSentence keeps an error to a line.
func shortSentence(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
