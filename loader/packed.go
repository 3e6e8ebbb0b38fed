package loader

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Limits on packed files: a few kilobytes must not become a disk full, nor a window of gigabytes in memory.
const (
	MaxExpansion   = 100     // bytes that one packed byte may become, in the file as a whole
	expansionStart = 1 << 20 // bytes that may come before the ratio counts
	zstdMemory     = 64 << 20
)

const (
	gzipBegins    = "\x1f\x8b"
	zstdBegins    = "\x28\xb5\x2f\xfd"
	parquetBegins = "PAR1"
)

// archives are packed forms that are not unpacked here, and those that are when they are packed twice.
var archives = []string{gzipBegins, zstdBegins, "PK\x03\x04", "BZh", "\xfd7zXZ\x00", "7z\xbc\xaf\x27\x1c", "Rar!"}

// unpacked reads what is packed in in, or in itself where nothing is.
func unpacked(in *bufio.Reader, read *countingReader) (*bufio.Reader, error) {
	start, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading the file: %w", err)
	}
	var out io.Reader
	switch {
	case bytes.HasPrefix(start, []byte(gzipBegins)):
		out, err = gzip.NewReader(in)
	case bytes.HasPrefix(start, []byte(zstdBegins)):
		out, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(zstdMemory), zstd.WithDecoderMaxWindow(zstdMemory/2))
	default:
		return in, nil
	}
	if err != nil {
		return nil, damaged(err)
	}
	inner := bufio.NewReaderSize(&expansion{in: out, read: read}, MaxRow+len(bom)+1)
	start, err = inner.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	for _, begins := range archives {
		if bytes.HasPrefix(start, []byte(begins)) {
			return nil, &FileError{Problem: "holds another packed file: unpack it first"}
		}
	}
	if bytes.HasPrefix(start, []byte(parquetBegins)) {
		return nil, &FileError{Problem: "is Parquet, packed: unpack it first, Parquet is compressed in itself"}
	}
	return inner, nil
}

func damaged(err error) *FileError {
	return &FileError{Problem: "is packed, and damaged or cut off (" + err.Error() + "): take it from the source again"}
}

// expansion bounds what a packed file may become.
type expansion struct {
	in   io.Reader
	read *countingReader // what the packed file has given so far
	out  int64
}

func (e *expansion) Read(p []byte) (int, error) {
	n, err := e.in.Read(p)
	e.out += int64(n)
	if e.out > expansionStart+MaxExpansion*e.read.bytes && !mutantLoaderBomb {
		return 0, &FileError{Problem: fmt.Sprintf("is packed, and becomes more than %d times as long: unpack it first if that is right", MaxExpansion)}
	}
	if err != nil && err != io.EOF {
		return n, damaged(err)
	}
	return n, err
}

// provePacked reads a packed file to its end before anything is taken from it, where it can be read twice: so that one that
// is cut off, or a bomb, changes nothing.
func provePacked(r io.Reader) error {
	file, ok := r.(io.ReadSeeker)
	if !ok {
		return nil
	}
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil // a pipe
	}
	read := &countingReader{in: file}
	in := bufio.NewReaderSize(read, 1<<16)
	out, err := unpacked(in, read)
	if err == nil && out != in {
		_, err = io.Copy(io.Discard, out)
	}
	_, back := file.Seek(start, io.SeekStart)
	return errors.Join(err, back)
}
