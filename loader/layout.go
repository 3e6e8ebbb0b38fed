package loader

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/record"
)

type timestamp = timestamppb.Timestamp

// layout knows which cell of a file's rows goes where.
type layout struct {
	kind    kind
	prefix  string // of request ids
	now     time.Time
	columns []*column
	headers []string // as the file writes them; a column that is passed over has no column
}

// layOut matches a header with the columns of a kind.
func layOut(opts Options, header row) (*layout, error) {
	l := &layout{now: opts.Clock(), kind: kinds[opts.Kind], prefix: opts.Name + "/" + string(opts.Kind) + "/"}
	problem := func(format string, args ...any) error {
		return &FileError{header.line, "is the header, and " + fmt.Sprintf(format, args...)}
	}
	for i, cell := range withoutEmptyEnd(header.cells) {
		name := trim(cell)
		if name == "" {
			return nil, problem("its column %d has no name", i+1)
		}
		column := l.kind.columnCalled(name)
		switch {
		case column == nil && !opts.IgnoreUnknown:
			return nil, problem("%q is no column of %s: known are %s", shown(name), opts.Kind, strings.Join(l.kind.names(), ", "))
		case column != nil && slices.Contains(l.columns, column):
			return nil, problem("%q names the column %s a second time", shown(name), column.name)
		case column != nil && column.name == recordIDColumn.name && opts.Name == "":
			return nil, problem("%q needs the name of the source that gave these ids", shown(name))
		}
		l.columns, l.headers = append(l.columns, column), append(l.headers, name)
	}
	if missing := l.missing(); len(missing) > 0 {
		return nil, problem("lacks %s", strings.Join(missing, ", "))
	}
	return l, nil
}

// shown makes a header fit to print: it may be a row of data in a file without one.
func shown(name string) string { return shortened(maskDigits(printable(name), phoneDigits)) }

func (k *kind) columnCalled(header string) *column {
	plain := plainWord(header)
	for i := range k.columns {
		if c := &k.columns[i]; plain == c.name || slices.Contains(c.headers, plain) {
			return c
		}
	}
	return nil
}

func (k *kind) names() []string {
	var names []string
	for _, c := range k.columns {
		names = append(names, c.name)
	}
	return names
}

// missing lists required columns with the Dutch or English headers that would do.
func (l *layout) missing() []string {
	var names []string
	for i := range l.kind.columns {
		c := &l.kind.columns[i]
		if !c.required || slices.Contains(l.columns, c) {
			continue
		}
		names = append(names, fmt.Sprintf("%s (or %s)", c.name, strings.Join(c.headers[:min(3, len(c.headers))], ", ")))
	}
	return names
}

func withoutEmptyEnd(cells []string) []string {
	for len(cells) > 0 && trim(cells[len(cells)-1]) == "" {
		cells = cells[:len(cells)-1]
	}
	return cells
}

func trim(cell string) string { return strings.Trim(cell, " \u00a0") }

// columnOf is the file's header for a field of the fact, or the field itself where the file has no such column.
func (l *layout) columnOf(field string) string {
	if field == "callee" {
		return l.header(calleeColumn.name)
	}
	if field == "request_id" {
		return l.header(recordIDColumn.name)
	}
	within, _, _ := strings.Cut(strings.TrimPrefix(field, l.kind.field+"."), "[")
	for i := range l.kind.columns {
		if c := &l.kind.columns[i]; c.field != "" && c.field == within {
			return l.header(c.name)
		}
	}
	return field
}

func (l *layout) header(name string) string {
	if c := l.columnNamed(name); c >= 0 {
		return l.headers[c]
	}
	return name
}

func (l *layout) columnNamed(name string) int {
	return slices.IndexFunc(l.columns, func(c *column) bool { return c != nil && c.name == name })
}

// fact makes a row into what is handed over, or says what is wrong with it.
func (l *layout) fact(r row) (*belpoortv1.RecordFactRequest, *fault) {
	if r.fault != nil {
		return nil, r.fault
	}
	width := len(l.columns)
	if count := max(len(withoutEmptyEnd(r.cells)), min(len(r.cells), width)); count != width {
		return nil, &fault{reason: ColumnCount, problem: fmt.Sprintf("has %d cells, and the header %d", count, width)}
	}
	d, cells := l.kind.begin(), r.cells[:width]
	if fault := l.read(d, cells); fault != nil {
		return nil, fault
	}
	return l.judged(d, cells)
}

func (l *layout) read(d *draft, cells []string) *fault {
	for i, c := range l.columns {
		if c == nil {
			continue
		}
		cell := trim(cells[i])
		if cell == "" && !c.required {
			continue
		}
		v, fault := c.read(cell, l.now)
		if fault != nil && !(mutantHalfRow && c.as == moment) {
			fault.column, fault.value = l.headers[i], masked(c.as, cell)
			return fault
		}
		c.set(d, v)
	}
	return nil
}

// judged applies the rules of the fact as a whole, those of the API included.
func (l *layout) judged(d *draft, cells []string) (*belpoortv1.RecordFactRequest, *fault) {
	for i, c := range l.columns {
		if c != nil && (c.as == text || c.as == list) && holdsNumber(cells[i], d.callee) {
			return nil, &fault{
				reason: HoldsNumber, column: l.headers[i], value: masked(number, cells[i]),
				problem: "holds the row's telephone number, and would be kept in clear",
			}
		}
	}
	request := &belpoortv1.RecordFactRequest{Callee: d.callee, Fact: l.kind.fact(d)}
	if d.id != "" {
		request.RequestId = l.prefix + d.id
	}
	if len(request.RequestId) > maxRequestID {
		return nil, &fault{reason: TooLong, column: l.header(recordIDColumn.name), problem: fmt.Sprintf(
			"makes a request id of more than %d bytes", maxRequestID)}
	}
	_, err := record.FactFromProto(request.Fact)
	var wrong *record.FieldError
	switch {
	case err == nil:
		return request, nil
	case !errors.As(err, &wrong):
		return nil, &fault{reason: BadValue, problem: err.Error()}
	}
	return nil, l.faultOf(wrong, cells)
}

// faultOf tells a broken rule of the API in the words of the file.
func (l *layout) faultOf(wrong *record.FieldError, cells []string) *fault {
	f := &fault{reason: BadValue, column: l.columnOf(wrong.Field), problem: wrong.Problem}
	if wrong.Field == l.kind.field {
		f.column = ""
	}
	at := slices.Index(l.headers, f.column)
	if at < 0 || l.columns[at] == nil {
		return f
	}
	f.value = masked(l.columns[at].as, trim(cells[at]))
	switch as := l.columns[at].as; {
	case trim(cells[at]) == "":
		f.reason = Missing
	case as == moment || as == latest || as == date:
		f.reason = BadDate
	case strings.Contains(wrong.Problem, "longer than"):
		f.reason = TooLong
	}
	return f
}

// holdsNumber reports whether a text spells the number: its digits without the country code, whatever stands between.
func holdsNumber(cell, callee string) bool {
	const countryCode = len("+31")
	if len(callee) <= countryCode || digitCount(cell) < len(callee)-countryCode {
		return false
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, cell)
	return strings.Contains(digits, callee[countryCode:])
}
