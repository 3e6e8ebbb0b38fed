package loader

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// charset knows how a file writes letters beyond ASCII. The first row that has any decides: valid UTF-8 is UTF-8,
// anything else Windows-1252. A later row that speaks the other is rejected and never read as garbage. A byte order mark
// decides at once. So the reading depends on the file alone, and needs neither a second pass nor a guess.
type charset struct{ saw encoding }

type encoding int

const (
	onlyASCII encoding = iota
	utf8Text
	windows1252
)

// decode turns the cells into UTF-8 in place.
func (c *charset) decode(cells []string) *fault {
	written := encodingOf(cells)
	if written == onlyASCII {
		return nil
	}
	if c.saw == onlyASCII {
		c.saw = written
	}
	switch {
	case c.saw == utf8Text && written == windows1252:
		return &fault{reason: BadEncoding, problem: "is not valid UTF-8, although the file is UTF-8 so far"}
	case c.saw == windows1252 && written == utf8Text:
		return &fault{reason: BadEncoding, problem: "is UTF-8, although the file is Windows-1252 so far"}
	case written == utf8Text:
		return nil
	}
	for i, cell := range cells {
		text, ok := fromWindows1252(cell)
		if !ok {
			return &fault{reason: BadEncoding, problem: "is neither UTF-8 nor Windows-1252"}
		}
		cells[i] = text
	}
	return nil
}

func encodingOf(cells []string) encoding {
	found := onlyASCII
	for _, cell := range cells {
		switch {
		case !utf8.ValidString(cell):
			return windows1252
		case !isASCII(cell):
			found = utf8Text
		}
	}
	return found
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fromWindows1252 refuses the five bytes that stand for no character.
func fromWindows1252(s string) (string, bool) {
	if isASCII(s) {
		return s, true
	}
	var out strings.Builder
	for i := range len(s) {
		r := charmap.Windows1252.DecodeByte(s[i])
		if r >= 0x80 && r < 0xA0 || r == utf8.RuneError {
			return "", false
		}
		out.WriteRune(r)
	}
	return out.String(), true
}
