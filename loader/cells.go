package loader

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/telephony"
)

// maxCell is more than any field may hold; the fields' own limits are the API's.
const maxCell = 2048

// read takes one trimmed cell, at a moment that counts as now. The fault lacks column and value.
func (c *column) read(cell string, now time.Time) (value, *fault) {
	switch {
	case cell == "":
		return value{}, &fault{reason: Missing, problem: "is empty"}
	case len(cell) > maxCell:
		return value{}, &fault{reason: TooLong, problem: fmt.Sprintf("is longer than %d bytes", maxCell)}
	case strings.ContainsFunc(cell, unicode.IsControl):
		return value{}, &fault{reason: BadCharacters, problem: "holds a line end or a control character"}
	case strings.ContainsRune(cell, utf8.RuneError):
		return value{}, &fault{reason: BadEncoding, problem: "holds the mark of a letter that was lost before"}
	}
	switch c.as {
	case number:
		return readNumber(cell)
	case list:
		return readList(cell)
	case word:
		return c.readWord(cell)
	case words:
		return c.readWords(cell)
	case moment, latest, date:
		return c.readTime(cell, now)
	case yesNo:
		yes, ok := readYes(cell)
		return value{yes: yes}, faultUnless(ok, BadWord, "must be ja or nee")
	case duration:
		return value{text: englishDuration(cell)}, nil
	case sha256:
		sum, err := hex.DecodeString(cell)
		return value{text: strings.ToLower(cell)}, faultUnless(err == nil && len(sum) == 32, BadValue, "must be 64 hexadecimal characters")
	default:
		return value{text: cell}, nil
	}
}

func faultUnless(ok bool, reason Reason, problem string) *fault {
	if ok {
		return nil
	}
	return &fault{reason: reason, problem: problem}
}

// scientific is how a spreadsheet shows a number that is too wide for its column, in Dutch or English; digits are gone.
var scientific = regexp.MustCompile(`^\d+([.,]\d*)?[eE]\+?\d+$`)

// trunkLost is a Dutch number without its zero: a spreadsheet took it for an amount.
var trunkLost = regexp.MustCompile(`^[1-9]\d{8}$`)

func readNumber(cell string) (value, *fault) {
	if scientific.MatchString(cell) {
		return value{}, &fault{reason: SpoiltNumber, problem: "is in scientific notation: a spreadsheet has spoilt this number, " +
			"take it from the source again with the column as text"}
	}
	n, err := telephony.Canonical(cell)
	switch {
	case err == nil:
		return value{request: n.E164()}, nil
	case errors.Is(err, telephony.NoPrefix) && trunkLost.MatchString(cell):
		return value{}, &fault{reason: SpoiltNumber, problem: "lacks its zero: a spreadsheet has spoilt this number, " +
			"take it from the source again with the column as text"}
	default:
		return value{}, &fault{reason: BadNumber, problem: err.Error()}
	}
}

// split takes the entries of a cell with several.
func split(cell string) []string {
	var entries []string
	for _, entry := range strings.FieldsFunc(cell, func(r rune) bool { return r == '|' || r == ',' || r == ';' }) {
		if entry = trim(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}

func readList(cell string) (value, *fault) {
	entries := split(cell)
	return value{list: entries}, faultUnless(len(entries) > 0, Missing, "is empty")
}

func (c *column) readWord(cell string) (value, *fault) {
	n, ok := c.words.read(cell)
	if !ok {
		return value{}, &fault{reason: BadWord, problem: c.words.problem()}
	}
	return value{word: n}, nil
}

func (c *column) readWords(cell string) (value, *fault) {
	var v value
	for _, entry := range split(cell) {
		n, ok := c.words.read(entry)
		if !ok {
			return value{}, &fault{reason: BadWord, problem: c.words.problem()}
		}
		v.words = append(v.words, n)
	}
	return v, faultUnless(len(v.words) > 0, Missing, "is empty")
}

func (c *column) readTime(cell string, now time.Time) (value, *fault) {
	if c.as == date {
		d, problem := readDate(cell)
		return value{text: d.String()}, faultUnless(problem == "", BadDate, problem)
	}
	t, problem := readMoment(cell, c.as == latest)
	if d, noDay := readDate(cell); c.as == latest && noDay == "" {
		t = endOf(d, now)
	}
	if problem != "" {
		return value{}, &fault{reason: BadDate, problem: problem}
	}
	return value{time: timestamppb.New(t)}, nil
}
