package loader

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// maxRowGroup bounds, in bytes unpacked, what one row group of a Parquet file may hold: its pages are read one by one, but
// each of them whole.
const maxRowGroup = 1 << 30

// parquetRows reads a Parquet file row by row. Lines are rows, the first of them 1.
type parquetRows struct {
	read   *countingReader
	file   *parquet.File
	group  int
	rows   parquet.Rows
	buffer []parquet.Row
	ready  []parquet.Row
	line   int
	leaves []leaf
}

// leaf is a column.
type leaf struct {
	name    string
	logical format.LogicalTypeValue // nil for a plain one
}

func openParquet(r io.Reader, read *countingReader) (opened source, header row, err error) {
	defer brokenParquet(&err)
	at, isFile := r.(io.ReaderAt)
	seeker, canSeek := r.(io.Seeker)
	if !isFile || !canSeek {
		return nil, row{}, &FileError{Problem: "is Parquet, which cannot be read from a pipe: name the file"}
	}
	size, err := seeker.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, row{}, &FileError{Problem: "is Parquet, which cannot be read from a pipe: name the file"}
	}
	file, err := parquet.OpenFile(at, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, row{}, damagedParquet(err)
	}
	p := &parquetRows{read: read, file: file, buffer: make([]parquet.Row, 64)}
	if err := errors.Join(p.checkSizes(), p.findLeaves()); err != nil {
		return nil, row{}, err
	}
	header.line = 1
	for _, l := range p.leaves {
		header.cells = append(header.cells, l.name)
	}
	read.bytes = 0
	return p, header, nil
}

// brokenParquet makes a file error of a panic over a file that is not what it says.
func brokenParquet(err *error) {
	if cause := recover(); cause != nil {
		*err = damagedParquet(errors.New("its pages contradict its index"))
	}
}

func damagedParquet(err error) *FileError {
	return &FileError{Problem: "is Parquet, and damaged or cut off (" + maskDigits(printable(err.Error()), phoneDigits) + ")"}
}

func (p *parquetRows) checkSizes() error {
	for _, group := range p.file.Metadata().RowGroups {
		packed, size := int64(0), int64(0)
		for i := range group.Columns {
			packed += group.Columns[i].MetaData.TotalCompressedSize
			size += group.Columns[i].MetaData.TotalUncompressedSize
		}
		if size > maxRowGroup || size < 0 || packed < 0 || size > expansionStart+MaxExpansion*packed {
			return &FileError{Problem: fmt.Sprintf("is Parquet, and has a row group that is larger than %d MiB or becomes more than %d times as long", maxRowGroup>>20, MaxExpansion)}
		}
	}
	return nil
}

func (p *parquetRows) findLeaves() error {
	schema := p.file.Schema()
	paths := schema.Columns()
	if len(paths) > MaxColumns {
		return &FileError{Problem: fmt.Sprintf("has more than %d columns", MaxColumns)}
	}
	for _, path := range paths {
		found, ok := schema.Lookup(path...)
		if !ok {
			return damagedParquet(errors.New("a column is not in its schema"))
		}
		l := leaf{name: path[0]}
		if logical := found.Node.Type().LogicalType(); logical != nil {
			l.logical = logical.Value
		}
		p.leaves = append(p.leaves, l)
	}
	return nil
}

func (p *parquetRows) next() (found row, err error) {
	defer brokenParquet(&err)
	for len(p.ready) == 0 {
		if err := p.fill(); err != nil {
			return row{}, err
		}
	}
	values := p.ready[0]
	p.ready = p.ready[1:]
	p.line++
	return p.rowOf(values), nil
}

// fill reads the next rows, of the next group where one is at its end.
func (p *parquetRows) fill() error {
	if p.rows == nil {
		groups := p.file.RowGroups()
		if p.group == len(groups) {
			return io.EOF
		}
		p.rows = groups[p.group].Rows()
		p.group++
	}
	n, err := p.rows.ReadRows(p.buffer)
	p.ready = p.buffer[:n]
	if err == io.EOF {
		err = p.rows.Close()
		p.rows = nil
		p.read.bytes += p.file.Metadata().RowGroups[p.group-1].TotalCompressedSize
	}
	if err != nil {
		return damagedParquet(err)
	}
	return nil
}

func (p *parquetRows) rowOf(values parquet.Row) row {
	found := row{line: p.line, cells: make([]string, len(p.leaves))}
	size := 0
	for _, v := range values {
		c := v.Column()
		cell, ok := p.leaves[c].cell(v)
		if !ok {
			found.fault = &fault{reason: BadValue, column: shown(p.leaves[c].name), problem: "is of a type that no column here has"}
			return found
		}
		if found.cells[c] != "" && cell != "" { // one of several
			cell = found.cells[c] + "|" + cell
		}
		found.cells[c] = cell
		if size += len(cell); size > MaxRow {
			found.fault = &fault{reason: TooLong, problem: fmt.Sprintf("is longer than %d bytes", MaxRow)}
			return found
		}
	}
	return found
}

// cell is a value as a CSV would hold it.
func (l *leaf) cell(v parquet.Value) (string, bool) {
	if v.IsNull() {
		return "", true
	}
	switch v.Kind() {
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return string(v.ByteArray()), true
	case parquet.Boolean:
		return strconv.FormatBool(v.Boolean()), true
	case parquet.Int32:
		if _, isDate := l.logical.(*format.DateType); isDate {
			return time.Unix(int64(v.Int32())*86_400, 0).UTC().Format(time.DateOnly), true
		}
		return strconv.FormatInt(int64(v.Int32()), 10), true
	case parquet.Int64:
		if stamp, isTime := l.logical.(*format.TimestampType); isTime {
			return timestampCell(stamp, v.Int64())
		}
		return strconv.FormatInt(v.Int64(), 10), true
	case parquet.Float, parquet.Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64), v.Kind() == parquet.Double
	default:
		return "", false
	}
}

// timestampCell writes an instant with its offset, and a time without a zone without one: that is the clock in Amsterdam.
func timestampCell(of *format.TimestampType, n int64) (string, bool) {
	if of.Unit.Value == nil {
		return "", false
	}
	unit := of.Unit.Value.Duration()
	if unit <= 0 || unit > time.Second {
		return "", false
	}
	each := int64(time.Second / unit)
	t := time.Unix(n/each, n%each*int64(unit)).UTC()
	form := "2006-01-02T15:04:05.999999999"
	if of.IsAdjustedToUTC {
		form += "Z"
	}
	return t.Format(form), true
}
