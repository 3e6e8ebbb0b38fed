package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/belpoort/belpoort/loader"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// csvBuffer is how much encoding/csv reads ahead of the row that it gives.
const csvBuffer = 4096

// numberList reads calls from a list with one number a line, or from a CSV with a header, a row at a time.
type numberList struct {
	rows               *csv.Reader
	in                 *boundedReader
	width              int      // cells of a row
	places             [4]int   // of the number, campaign, caller ID and person in a row; -1 for none
	campaign, callerID string   // stand in for cells that are empty or not there
	first              []string // the first row, where it is no header
	headers            []string // the header, where there is one
	marked             bool     // the file begins with a byte order mark
	line               int      // of the row read last
}

// listedCall is one row: a call, or what is wrong with the row.
type listedCall struct {
	line           int
	cells          []string // as the list has them; nil where they cannot be told apart
	call           *belpoortv1.ComparedCall
	field, problem string
}

// listColumns are the columns that are used, in the order of numberList.places, with the other names that they go by.
func listColumns() [4]loader.Column {
	columns := [4]loader.Column{
		{Name: "callee"},
		{Name: "campaign", Headers: []string{"campagne", "campaign_id", "campagne_id"}},
		{Name: "caller_id", Headers: []string{"callerid", "cli", "getoond_nummer", "uitgaand_nummer", "nummerweergave"}},
		{Name: "person"},
	}
	for _, known := range loader.Columns(loader.Consents) {
		for i := range columns {
			if columns[i].Name == known.Name {
				columns[i].Headers = append(columns[i].Headers, known.Headers...)
			}
		}
	}
	return columns
}

// openList finds the delimiter and reads the header, where there is one.
func openList(in io.Reader, campaign, callerID string) (*numberList, error) {
	buffered := bufio.NewReaderSize(in, loader.MaxRow)
	delimiter, marked, err := beginsList(buffered)
	if err != nil {
		return nil, err
	}
	l := &numberList{in: &boundedReader{in: buffered}, campaign: campaign, callerID: callerID, marked: marked}
	l.rows = csv.NewReader(l.in)
	l.rows.Comma, l.rows.FieldsPerRecord = delimiter, -1
	header, err := l.row()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	}
	if err != nil {
		return nil, err
	}
	return l, l.header(header)
}

// header finds the columns, or that the first row is a number already.
func (l *numberList) header(cells []string) error {
	l.width, l.places = len(cells), [4]int{-1, -1, -1, -1}
	columns := listColumns()
	for i, cell := range cells {
		c := slices.IndexFunc(columns[:], func(c loader.Column) bool { return names(c, cell) })
		if c < 0 {
			continue
		}
		if l.places[c] >= 0 {
			return fmt.Errorf("the header names the column %s twice: in columns %d and %d", columns[c].Name, l.places[c]+1, i+1)
		}
		l.places[c] = i
	}
	switch {
	case l.places[0] < 0 && len(cells) == 1 && strings.ContainsAny(cells[0], "0123456789"):
		l.places, l.first = [4]int{0, -1, -1, -1}, cells
		cells = nil
	case l.places[0] < 0:
		return fmt.Errorf("the first line is neither a number nor a header with the column callee (or %s)", strings.Join(columns[0].Headers[:3], ", "))
	}
	l.headers = cells
	if l.places[1] < 0 && l.campaign == "" {
		return errors.New("has no column campaign, so --campaign is needed")
	}
	if l.places[2] < 0 && l.callerID == "" {
		return errors.New("has no column caller_id, so --caller-id is needed")
	}
	return nil
}

// names compares without case, and without what stands between the parts of a header.
func names(c loader.Column, header string) bool {
	parts := strings.FieldsFunc(strings.ToLower(header), func(r rune) bool { return strings.ContainsRune(" _-./\u00a0", r) })
	plain := strings.Join(parts, "_")
	return plain == c.Name || slices.Contains(c.Headers, plain)
}

// next returns the next row; io.EOF after the last. Any other error ends the reading.
func (l *numberList) next() (listedCall, error) {
	cells := l.first
	l.first = nil
	if cells == nil {
		var err error
		cells, err = l.row()
		if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
			return listedCall{line: wrong.StartLine, problem: "its quotes do not pair: " + wrong.Err.Error()}, nil
		}
		if err != nil {
			return listedCall{}, err
		}
	}
	if len(cells) != l.width {
		return listedCall{line: l.line, cells: cells, problem: fmt.Sprintf("has %d cells, and the first line %d", len(cells), l.width)}, nil
	}
	return l.listed(cells), nil
}

func (l *numberList) listed(cells []string) listedCall {
	var texts [4]string
	for i, place := range l.places {
		if place < 0 {
			continue
		}
		text, ok := readable(cells[place])
		if !ok {
			return listedCall{line: l.line, cells: cells, field: listColumns()[i].Name, problem: "column " + listColumns()[i].Name + " is neither UTF-8 nor Latin-1"}
		}
		texts[i] = text
	}
	call := &belpoortv1.ComparedCall{Callee: texts[0], Campaign: texts[1], CallerId: texts[2], Person: texts[3]}
	if call.Campaign == "" {
		call.Campaign = l.campaign
	}
	if call.CallerId == "" {
		call.CallerId = l.callerID
	}
	return listedCall{line: l.line, cells: cells, call: call}
}

// row returns the next row that is not blank, without empty cells beyond the width of the first.
func (l *numberList) row() ([]string, error) {
	for {
		l.in.left = loader.MaxRow + csvBuffer
		cells, err := l.rows.Read()
		if errors.Is(err, errRowTooLong) {
			return nil, fmt.Errorf("has a row, or an open quote, of more than %d bytes after line %d", loader.MaxRow, l.line)
		}
		if err != nil {
			return nil, err
		}
		l.line, _ = l.rows.FieldPos(0)
		for len(cells) > max(l.width, 1) && strings.TrimSpace(cells[len(cells)-1]) == "" {
			cells = cells[:len(cells)-1]
		}
		if strings.TrimSpace(strings.Join(cells, "")) != "" {
			return cells, nil
		}
	}
}

// readable is a cell as UTF-8: as it is, or read as Latin-1, which spreadsheets write still.
func readable(cell string) (string, bool) {
	const blanks = " \u00a0"
	if utf8.ValidString(cell) {
		return strings.Trim(cell, blanks), true
	}
	var out strings.Builder
	for i := range len(cell) {
		if b := cell[i]; b >= 0x80 && b < 0xa0 {
			return "", false
		}
		out.WriteRune(rune(cell[i]))
	}
	return strings.Trim(out.String(), blanks), true
}

// beginsList passes over a byte order mark and finds the delimiter: the one of comma, semicolon and tab that the first
// line holds.
func beginsList(in *bufio.Reader) (delimiter rune, marked bool, err error) {
	start, err := in.Peek(loader.MaxRow)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, false, err
	}
	if bytes.IndexByte(start[:min(len(start), 1024)], 0) >= 0 || bytes.HasPrefix(start, []byte("\x1f\x8b")) {
		return 0, false, errors.New("is no text: unpack it, and save it as CSV UTF-8")
	}
	rest, marked := bytes.CutPrefix(start, []byte("\xef\xbb\xbf"))
	_, _ = in.Discard(len(start) - len(rest)) // it was peeked
	start = rest
	line, _, _ := bytes.Cut(bytes.TrimLeft(start, "\r\n "), []byte("\n"))
	found := ','
	held := 0
	for _, possible := range ",;\t" {
		if bytes.ContainsRune(line, possible) {
			found = possible
			held++
		}
	}
	if held > 1 {
		return 0, false, errors.New("the first line holds more than one of comma, semicolon and tab: which of them stands between cells?")
	}
	return found, marked, nil
}

var errRowTooLong = errors.New("too long")

// boundedReader gives no more than what is left, so that no row can fill the memory.
type boundedReader struct {
	in   io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
