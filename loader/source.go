package loader

import (
	"bufio"
	"bytes"
	"io"
)

// source gives the rows of a file, whatever its form.
type source interface {
	// next returns the next row that is not blank; io.EOF after the last. A row with a fault comes with an error where the
	// file cannot be read on.
	next() (row, error)
}

// openSource finds the form of a file, and gives its rows and its header.
func openSource(r io.Reader, read *countingReader) (source, row, error) {
	if err := provePacked(r); err != nil {
		return nil, row{}, err
	}
	read.in = r
	in := bufio.NewReaderSize(read, MaxRow+len(bom)+1)
	start, err := in.Peek(len(parquetBegins))
	if err == nil && string(start) == parquetBegins {
		return openParquet(r, read)
	}
	if in, err = unpacked(in, read); err != nil {
		return nil, row{}, err
	}
	if beginsObject(in) {
		return openJSONLines(in)
	}
	return openRows(in)
}

// beginsObject reports whether the first byte that is no blank is a brace, as in JSON Lines and in no header.
func beginsObject(in *bufio.Reader) bool {
	start, _ := in.Peek(1024)
	start = bytes.TrimLeft(bytes.TrimPrefix(start, []byte(bom)), " \t\r\n")
	return len(start) > 0 && start[0] == '{'
}
