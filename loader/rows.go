package loader

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// row is one row as the file has it. With a fault, its cells are not to be used.
type row struct {
	line  int // where it begins
	cells []string
	names []string // of the cells, where each row has its own; nil: as in the header
	fault *fault
}

// rowReader takes a file apart into rows and cells. encoding/csv would do but for one thing: it keeps a row in memory
// whatever its length.
//
// Rows end with LF, CRLF or CR, mixed at will. A cell in double quotes may hold delimiters, line ends and doubled quotes.
type rowReader struct {
	in        *bufio.Reader
	delimiter byte
	line      int // of the byte to be read next
	charset   charset

	text []byte // the cells of the row, joined
	ends []int  // where each cell ends in text
	size int    // bytes of the row read so far
}

const bom = "\xef\xbb\xbf"

// notText are the first bytes of files that are no CSV.
var notText = []struct{ begins, problem string }{
	{"\xff\xfe", "is UTF-16: save it as CSV UTF-8"},
	{"\xfe\xff", "is UTF-16: save it as CSV UTF-8"},
	{"PK\x03\x04", "is a spreadsheet or a zip: save it as CSV"},
	{"\xd0\xcf\x11\xe0", "is an old spreadsheet: save it as CSV"},
	{"%PDF", "is a PDF: save the table in it as CSV"},
}

// openRows finds delimiter and charset, and returns the cells of the header.
func openRows(in *bufio.Reader) (source, row, error) {
	rows := &rowReader{in: in, line: 1, delimiter: ','}
	start, err := rows.in.Peek(4)
	if err != nil && err != io.EOF {
		return nil, row{}, fmt.Errorf("reading the file: %w", err)
	}
	for _, other := range notText {
		if bytes.HasPrefix(start, []byte(other.begins)) {
			return nil, row{}, &FileError{Problem: other.problem}
		}
	}
	if bytes.HasPrefix(start, []byte(bom)) {
		rows.charset.saw = utf8Text
		_, _ = rows.in.Discard(len(bom))
	}
	if err := rows.findDelimiter(); err != nil {
		return nil, row{}, err
	}
	header, err := rows.next()
	switch {
	case err == io.EOF:
		return nil, row{}, &FileError{Problem: "is empty: the first row must name the columns"}
	case err != nil:
		return nil, row{}, err
	case header.fault != nil:
		return nil, row{}, &FileError{header.line, "is the header, and " + header.fault.problem}
	}
	return rows, header, nil
}

// findDelimiter reads a first line "sep=;", as spreadsheets write, or takes the one delimiter that the header holds.
func (r *rowReader) findDelimiter() error {
	line, err := r.peekLine()
	if err != nil {
		return err
	}
	if text := strings.ToLower(string(line)); len(text) == 5 && strings.HasPrefix(text, "sep=") {
		if !isDelimiter(text[4]) {
			return &FileError{r.line, "names a delimiter that is no comma, semicolon or tab"}
		}
		if _, err := r.next(); err != nil {
			return err
		}
		r.delimiter = text[4]
		return nil
	}
	found, quoted := "", false
	for _, b := range line {
		switch {
		case b == '"':
			quoted = !quoted
		case !quoted && isDelimiter(b) && !strings.Contains(found, string(b)):
			found += string(b)
		}
	}
	switch len(found) {
	case 0: // one column: the header check says what is missing
	case 1:
		r.delimiter = found[0]
	default:
		return &FileError{r.line, fmt.Sprintf("is the header, and its delimiter is ambiguous: it holds %s", delimiterNames(found))}
	}
	return nil
}

func isDelimiter(b byte) bool { return b == ',' || b == ';' || b == '\t' }

func delimiterNames(found string) string {
	var names []string
	for _, d := range found {
		names = append(names, map[rune]string{',': "a comma", ';': "a semicolon", '\t': "a tab"}[d])
	}
	return strings.Join(names, " and ")
}

// peekLine looks at the first line that is not blank, and passes over the blank ones.
func (r *rowReader) peekLine() ([]byte, error) {
	for {
		start, err := r.in.Peek(MaxRow + 1)
		end := bytes.IndexAny(start, "\r\n")
		switch {
		case end < 0 && err != nil && err != io.EOF:
			return nil, fmt.Errorf("reading the header: %w", err)
		case end < 0 && len(start) > MaxRow:
			return nil, &FileError{r.line, fmt.Sprintf("is the header, and longer than %d bytes", MaxRow)}
		case end < 0:
			return start, nil
		case len(bytes.Trim(start[:end], " ")) > 0:
			return start[:end], nil
		}
		if _, err := r.in.Discard(end); err != nil {
			return nil, err
		}
		first, _ := r.in.ReadByte()
		r.endLine(first)
	}
}

// next returns the next row that is not blank. A row with a fault comes with an error where the file cannot be read on.
func (r *rowReader) next() (row, error) {
	for {
		found, err := r.scan()
		if err != nil && found.fault == nil || found.fault != nil || !r.blank() {
			return r.decoded(found), err
		}
	}
}

// blank reports whether every cell is empty; spreadsheets end files with such rows.
func (r *rowReader) blank() bool { return len(bytes.Trim(r.text, " ")) == 0 }

func (r *rowReader) decoded(found row) row {
	if found.fault != nil || len(r.ends) == 0 {
		return found
	}
	found.cells = make([]string, len(r.ends))
	begin, text := 0, string(r.text)
	for i, end := range r.ends {
		found.cells[i] = text[begin:end]
		begin = end
	}
	found.fault = r.charset.decode(found.cells)
	return found
}

// quoting is where in a cell the reader stands.
type quoting int

const (
	cellBegins quoting = iota
	unquoted
	inQuotes
	quoteSeen // a quote inside quotes: the end of the cell, or half of a doubled quote
)

// scan reads one row. After a fault it reads on to the row's end and keeps nothing.
func (r *rowReader) scan() (row, error) {
	r.text, r.ends, r.size = r.text[:0], r.ends[:0], 0
	found, state := row{line: r.line}, cellBegins
	quoteLine, quoteAt := 0, 0
	for {
		b, err := r.in.ReadByte()
		if err == io.EOF && r.size == 0 {
			return found, io.EOF
		}
		if err == io.EOF && state == inQuotes {
			return r.unclosed(found, quoteLine, "before the end of the file")
		}
		if err == io.EOF {
			return r.ended(found), nil
		}
		if err != nil {
			return row{}, fmt.Errorf("reading line %d: %w", r.line, err)
		}
		r.size++
		switch {
		case (b == '\n' || b == '\r') && state != inQuotes:
			r.endLine(b)
			return r.ended(found), nil
		case r.size-quoteAt > MaxRow && state == inQuotes:
			return r.unclosed(found, quoteLine, fmt.Sprintf("within %d bytes", MaxRow))
		case b == '"' && state == cellBegins:
			quoteLine, quoteAt = r.line, r.size
		case b == '\n' || b == '\r':
			r.endLine(b)
		}
		if found.fault == nil {
			found.fault = r.judge(b, state)
		}
		state = r.put(b, state, found.fault == nil)
	}
}

// judge says what is wrong with reading b in this state.
func (r *rowReader) judge(b byte, state quoting) *fault {
	switch {
	case b == 0:
		return &fault{reason: NulByte, problem: "holds a NUL byte: the file is damaged or is UTF-16"}
	case r.size > MaxRow:
		return &fault{reason: TooLong, problem: fmt.Sprintf("is longer than %d bytes", MaxRow)}
	case b == r.delimiter && state != inQuotes && len(r.ends)+1 >= MaxColumns:
		return &fault{reason: TooLong, problem: fmt.Sprintf("has more than %d columns", MaxColumns)}
	case b == '"' && state == unquoted:
		return &fault{reason: BadQuotes, problem: "has a quote inside a cell that is not quoted"}
	case b != '"' && b != r.delimiter && state == quoteSeen:
		return &fault{reason: BadQuotes, problem: "has text after the closing quote of a cell"}
	}
	return nil
}

// put takes b into the row and says where the reader stands then.
func (r *rowReader) put(b byte, state quoting, keep bool) quoting {
	switch {
	case b == r.delimiter && state != inQuotes:
		if keep {
			r.ends = append(r.ends, len(r.text))
		}
		return cellBegins
	case b == '"' && state == cellBegins:
		return inQuotes
	case b == '"' && state == inQuotes:
		return quoteSeen
	case b == '"' && state == unquoted:
		return unquoted
	}
	if keep {
		r.text = append(r.text, b)
	}
	switch {
	case state == inQuotes, state == quoteSeen && b == '"':
		return inQuotes
	default:
		return unquoted
	}
}

// endLine counts a line end of which b was the first byte.
func (r *rowReader) endLine(b byte) {
	r.line++
	if b != '\r' {
		return
	}
	if next, err := r.in.Peek(1); err == nil && next[0] == '\n' {
		_, _ = r.in.Discard(1)
	}
}

func (r *rowReader) ended(found row) row {
	r.ends = append(r.ends, len(r.text))
	return found
}

// unclosed ends the reading: from here on nobody can tell rows from the inside of a cell.
func (r *rowReader) unclosed(found row, quoteLine int, where string) (row, error) {
	problem := fmt.Sprintf("opens a quote that is not closed %s: nothing after it was read", where)
	found.fault = &fault{reason: BadQuotes, problem: problem}
	return found, &FileError{quoteLine, problem}
}
