package loader

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// jsonLines reads one object a line. The keys are the columns; a row may lack some, and have others than the first.
type jsonLines struct {
	in    *bufio.Reader
	line  int  // of the line to be read next
	first *row // was read for the header
}

func openJSONLines(in *bufio.Reader) (source, row, error) {
	if start, _ := in.Peek(len(bom)); string(start) == bom {
		_, _ = in.Discard(len(bom))
	}
	j := &jsonLines{in: in, line: 1}
	first, err := j.next()
	switch {
	case err == io.EOF:
		return nil, row{}, &FileError{Problem: "is empty: it needs an object a line"}
	case err != nil:
		return nil, row{}, err
	case first.fault != nil:
		return nil, row{}, &FileError{first.line, "is the first object, and " + first.fault.problem}
	}
	j.first = &first
	return j, row{line: first.line, cells: first.names}, nil
}

func (j *jsonLines) next() (row, error) {
	if first := j.first; first != nil {
		j.first = nil
		return *first, nil
	}
	for {
		found := row{line: j.line}
		line, err := j.read()
		if err != nil && !errors.Is(err, errRowTooLong) {
			return row{}, err
		}
		if err != nil {
			found.fault = &fault{reason: TooLong, problem: fmt.Sprintf("is longer than %d bytes", MaxRow)}
			return found, nil
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			found.names, found.cells, found.fault = objectOf(line)
			return found, nil
		}
	}
}

var errRowTooLong = errors.New("the row is too long")

// read gives one line, and of one that is too long nothing.
func (j *jsonLines) read() ([]byte, error) {
	line, err := j.in.ReadSlice('\n')
	long := len(line) > MaxRow
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		_, err = j.in.ReadSlice('\n')
	}
	if err == io.EOF && len(line) > 0 {
		err = nil
	}
	if err == io.EOF {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("reading line %d: %w", j.line, err)
	}
	j.line++
	if long {
		return nil, errRowTooLong
	}
	return line, nil
}

// objectOf takes an object apart. What stands under a key becomes the text that a CSV would hold.
func objectOf(line []byte) (names, cells []string, wrong *fault) {
	if !utf8.Valid(line) {
		return nil, nil, &fault{reason: BadEncoding, problem: "is not UTF-8, as JSON must be"}
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	noObject := &fault{reason: BadJSON, problem: "is no JSON object"}
	if opening, err := d.Token(); err != nil || opening != json.Delim('{') {
		return nil, nil, noObject
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		name, isText := key.(string)
		if err != nil || !isText {
			return nil, nil, noObject
		}
		if seen[name] {
			return nil, nil, &fault{reason: BadJSON, column: shown(name), problem: "names a column twice"}
		}
		seen[name] = true
		if len(seen) > MaxColumns {
			return nil, nil, &fault{reason: TooLong, problem: fmt.Sprintf("has more than %d columns", MaxColumns)}
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, nil, noObject
		}
		cell, ok := cellOf(value)
		if !ok {
			return nil, nil, &fault{reason: BadJSON, column: shown(name), problem: "holds an object, or a list of something else than text"}
		}
		names, cells = append(names, name), append(cells, cell)
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, noObject
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, &fault{reason: BadJSON, problem: "has something after the object"}
	}
	return names, cells, nil
}

func cellOf(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	case json.Number:
		return v.String(), true
	case []any:
		entries := make([]string, len(v))
		for i := range v {
			text, isText := v[i].(string)
			if !isText {
				return "", false
			}
			entries[i] = text
		}
		return strings.Join(entries, "|"), true
	default:
		return "", false
	}
}
