package loader

import (
	"encoding/csv"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Reason groups what can be wrong with a row. The words are stable: they stand in rejects files and reports.
type Reason string

// The reasons.
const (
	BadNumber     Reason = "bad_number"     // no telephone number
	SpoiltNumber  Reason = "spoilt_number"  // a spreadsheet has rounded it or taken its zero
	BadDate       Reason = "bad_date"       // not read, not in the calendar, or not on the clock
	BadWord       Reason = "bad_word"       // not one of the words of its column
	BadValue      Reason = "bad_value"      // breaks a rule of its field
	Missing       Reason = "missing"        // a required cell is empty
	HoldsNumber   Reason = "holds_number"   // a free text holds the telephone number, and would be kept in clear
	ColumnCount   Reason = "column_count"   // more or fewer cells than the header
	TooLong       Reason = "too_long"       // over MaxRow, MaxColumns or a field's limit
	BadQuotes     Reason = "bad_quotes"     // quotes that do not pair
	NulByte       Reason = "nul_byte"       // damaged, or another encoding
	BadEncoding   Reason = "bad_encoding"   // not in the encoding of the rows before
	BadCharacters Reason = "bad_characters" // control characters, line ends within a cell
	BadJSON       Reason = "bad_json"       // no object, or one with other than plain values
	UnknownColumn Reason = "unknown_column" // a key that the objects before did not have, and that means nothing here
	Refused       Reason = "refused"        // by the register
)

// fault is what is wrong with a row: the first thing found.
type fault struct {
	reason  Reason
	column  string // as the file names it; empty for the row as a whole
	problem string
	value   string // masked
}

type reject struct {
	line  int
	fault fault
}

// rejectsFile is CSV for people and spreadsheets.
type rejectsFile struct {
	out     *csv.Writer
	to      io.Writer
	written int64
}

// Write counts what has reached the file.
func (f *rejectsFile) Write(p []byte) (int, error) {
	n, err := f.to.Write(p)
	f.written += int64(n)
	return n, err
}

// continuedRejectsFile goes on with a file that has its header.
func continuedRejectsFile(w io.Writer, written int64) *rejectsFile {
	f := &rejectsFile{to: w, written: written}
	f.out = csv.NewWriter(f)
	return f
}

var rejectsHeader = []string{"line", "column", "reason", "problem", "value"}

func newRejectsFile(w io.Writer) *rejectsFile {
	f := continuedRejectsFile(w, 0)
	_ = f.out.Write(rejectsHeader) // the writer keeps its error for Flush
	return f
}

func (f *rejectsFile) write(rejects []reject) error {
	for _, r := range rejects {
		_ = f.out.Write([]string{
			strconv.Itoa(r.line), neutral(r.fault.column), string(r.fault.reason), neutral(r.fault.problem), neutral(r.fault.value),
		})
	}
	f.out.Flush()
	if err := f.out.Error(); err != nil {
		return fmt.Errorf("writing the rejects: %w", err)
	}
	return nil
}

// formulaSigns make a spreadsheet run a cell (OWASP, CSV Injection), the full-width ones in East Asian versions.
const formulaSigns = "=+-@\t\r\n＝＋－＠"

// neutral makes a cell text for a spreadsheet: an apostrophe stands before what would be run.
func neutral(cell string) string {
	first := strings.TrimLeft(cell, " '\u00a0")
	if mutantFormula || first == "" || !strings.ContainsRune(formulaSigns, firstRune(first)) {
		return cell
	}
	return "'" + cell
}

func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// phoneDigits is how many digits in one value could be a telephone number that matters.
const phoneDigits = 7

const shownRunes = 40

// dateShape is a date with an optional time: many digits, and yet no telephone number.
var dateShape = regexp.MustCompile(`^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})` +
	`([ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?(\d{2})?)?)?$`)

// masked shows enough of a value to find the mistake: dates whole, words without long runs of digits, of a number the
// last two digits, of other text the first letter.
func masked(as cell, value string) string {
	value = printable(value)
	switch {
	case as == number && digitCount(value) > 0:
		return shortened(maskDigits(value, 0))
	case as == text || as == number:
		return maskText(value)
	case dateShape.MatchString(value):
		return value
	}
	return shortened(maskDigits(value, phoneDigits))
}

// maskDigits replaces every digit but the last two, where there are at least so many.
func maskDigits(s string, least int) string {
	count := digitCount(s)
	if count < least || mutantUnmasked {
		return s
	}
	hidden := max(count-2, min(count, 2))
	return strings.Map(func(r rune) rune {
		if !unicode.IsNumber(r) {
			return r
		}
		if hidden--; hidden >= 0 {
			return '*'
		}
		return r
	}, s)
}

func digitCount(s string) int {
	count := 0
	for _, r := range s {
		if unicode.IsNumber(r) {
			count++
		}
	}
	return count
}

func maskText(s string) string {
	if s == "" {
		return ""
	}
	if r := firstRune(s); unicode.IsLetter(r) {
		return string(r) + "***"
	}
	return "***"
}

func shortened(s string) string {
	if utf8.RuneCountInString(s) <= shownRunes {
		return s
	}
	return string([]rune(s)[:shownRunes]) + "…"
}

// printable shows what cannot be seen as a question mark.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
