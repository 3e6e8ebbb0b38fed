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
	width   int      // cells of a row; columns beyond it have the mapping's default only
	places  map[string]int
	mapping *Mapping
	lenient bool // unknown columns are passed over
	// defaulted are columns that the file does not have so far.
	defaulted map[*column]int
}

// layOut matches a header with the columns of a kind.
func layOut(opts Options, header row) (*layout, error) {
	l := &layout{
		now: opts.Clock(), kind: kinds[opts.Kind], prefix: opts.Name + "/" + string(opts.Kind) + "/", places: map[string]int{},
		defaulted: map[*column]int{}, mapping: opts.Mapping, lenient: opts.IgnoreUnknown,
	}
	problem := func(format string, args ...any) error {
		return &FileError{header.line, "is the header, and " + fmt.Sprintf(format, args...)}
	}
	if err := l.mapping.Check(opts.Kind); err != nil {
		return nil, err
	}
	for i, cell := range withoutEmptyEnd(header.cells) {
		name := trim(cell)
		if name == "" {
			return nil, problem("its column %d has no name", i+1)
		}
		if wrong := l.add(name, opts.Name != ""); wrong != "" {
			return nil, problem("%s", wrong)
		}
	}
	l.width = len(l.columns)
	l.addDefaults()
	if missing := l.missing(); len(missing) > 0 {
		return nil, problem("lacks %s", strings.Join(missing, ", "))
	}
	return l, nil
}

// add takes a column in, or says what is wrong with it.
func (l *layout) add(name string, named bool) string {
	column, passed := l.called(name)
	if at, waiting := l.defaulted[column]; waiting {
		delete(l.defaulted, column)
		l.places[name], l.headers[at] = at, name
		return ""
	}
	switch {
	case column == nil && !passed && !l.lenient:
		return fmt.Sprintf("%q is no column of %s: known are %s", shown(name), l.kind.name(), strings.Join(l.kind.names(), ", "))
	case column != nil && slices.Contains(l.columns, column):
		return fmt.Sprintf("%q names the column %s a second time", shown(name), column.name)
	case column != nil && column.name == recordIDColumn.name && !named:
		return fmt.Sprintf("%q needs the name of the source that gave these ids", shown(name))
	}
	l.places[name] = len(l.columns)
	l.columns, l.headers = append(l.columns, column), append(l.headers, name)
	return ""
}

// called finds the column that a header means: by the mapping, else by its name.
func (l *layout) called(name string) (column *column, passed bool) {
	to, mapped := l.mapping.column(name)
	switch {
	case mapped && to == passedOver:
		return nil, true
	case mapped:
		return l.kind.columnCalled(to), false
	default:
		return l.kind.columnCalled(name), false
	}
}

// addDefaults gives the columns that the file lacks and the mapping has a value for.
func (l *layout) addDefaults() {
	for i := range l.kind.columns {
		c := &l.kind.columns[i]
		if l.mapping.fallback(c) != "" && !slices.Contains(l.columns, c) {
			l.defaulted[c] = len(l.columns)
			l.columns, l.headers = append(l.columns, c), append(l.headers, c.name)
		}
	}
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

// name is the kind's own.
func (k *kind) name() Kind {
	for name := range kinds {
		if kinds[name].field == k.field {
			return name
		}
	}
	return ""
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
	cells, wrong := l.placed(r)
	if wrong != nil {
		return nil, wrong
	}
	d := l.kind.begin()
	if fault := l.read(d, cells); fault != nil {
		return nil, fault
	}
	return l.judged(d, cells)
}

// placed gives a row's cells, one for each column, with the mapping's values where there are none.
func (l *layout) placed(r row) ([]string, *fault) {
	cells := r.cells
	switch {
	case r.names != nil:
		if wrong := l.learn(r); wrong != nil {
			return nil, wrong
		}
		cells = make([]string, len(l.columns))
		for i, name := range r.names {
			if at, has := l.places[trim(name)]; has {
				cells[at] = r.cells[i]
			}
		}
	default:
		if count := max(len(withoutEmptyEnd(cells)), min(len(cells), l.width)); count != l.width {
			return nil, &fault{reason: ColumnCount, problem: fmt.Sprintf("has %d cells, and the header %d", count, l.width)}
		}
		cells = cells[:l.width:l.width]
	}
	if l.mapping == nil {
		return cells, nil
	}
	return l.mapping.apply(cells, l.columns), nil
}

// learn takes in columns that a row has and none before it had.
func (l *layout) learn(r row) *fault {
	for _, name := range r.names {
		name = trim(name)
		if _, known := l.places[name]; known {
			continue
		}
		if column, passed := l.called(name); column == nil && (l.lenient || passed) {
			continue
		}
		if wrong := l.add(name, l.named()); wrong != "" {
			return &fault{reason: UnknownColumn, column: shown(name), problem: "has a key that " + strings.TrimPrefix(wrong, fmt.Sprintf("%q ", shown(name)))}
		}
	}
	return nil
}

// named tells that the source has a name, from which ids can be made.
func (l *layout) named() bool { return !strings.HasPrefix(l.prefix, "/") }

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
