package telephony

import (
	"strings"
	"unicode"
)

// MaxInput is the longest spelling that Canonical reads, in bytes.
const MaxInput = 40

// longestShortCode is the length of the longest Dutch short code, such as 116000 and 140113, in digits.
const longestShortCode = 6

// Canonical reads one telephone number. A number begins with + or 00 and the country calling code, or with 0 and is then
// Dutch. Spaces, hyphens, dots and parentheses are passed over. A Dutch trunk zero after the country code, in parentheses
// or bare, is dropped: +31 (0)6 and +31 06 are both +316. A zero in parentheses anywhere else but in front of a national
// number leaves two readings and is an error.
//
// Of a Dutch number only the spelling is judged, so unassigned and forbidden ranges come out canonical, as do lengths
// that the plan does not know; short codes do not. A foreign number must have a length that its country uses.
//
// Two spellings of one number give equal Numbers or an error. Every error is a Cause.
func Canonical(s string) (Number, error) {
	if n, ok := canonicalDutch(s); ok {
		return n, nil
	}
	if len(s) > MaxInput {
		return Number{}, TooLong
	}
	w, err := read(s)
	if err != nil {
		return Number{}, err
	}
	return w.resolve()
}

// canonicalDutch is the fast path for what is canonical already. Whatever it declines, the slow path decides.
func canonicalDutch(s string) (Number, bool) {
	if len(s) < 1+minDigits || len(s) > 1+maxDigits || s[:3] != "+31" || s[3] == '0' || isHarmonisedCode(s[3:]) {
		return Number{}, false
	}
	value := uint64(31)
	for i := 3; i < len(s); i++ {
		digit := s[i] - '0'
		if digit > 9 {
			return Number{}, false
		}
		value = value*10 + uint64(digit)
	}
	return veiledNumber(value), true
}

// isHarmonisedCode reports whether the national part is one of the 116xxx services of social value (EU decision
// 2007/116/EC), which are long enough to pass for a number once +31 stands before them.
func isHarmonisedCode[T string | []byte](national T) bool {
	return len(national) == 6 && national[0] == '1' && national[1] == '1' && national[2] == '6'
}

// written is a spelling taken apart: what is left when everything between the digits is gone.
type written struct {
	digits [MaxInput]byte
	count  int
	plus   bool
	zeroAt int // index of the digit written "(0)", -1 without one
}

func read(s string) (written, error) {
	w := written{zeroAt: -1}
	open := -1 // index of the first digit after an open parenthesis
	for i, r := range s {
		switch {
		case r >= '0' && r <= '9':
			w.add(byte(r))
		case r == ' ' || r == '-' || r == '.':
		case r == '+' && !w.plus && strings.Trim(s[:i], " (") == "":
			w.plus = true
		case r == '(' && open < 0:
			open = w.count
		case r == ')' && open >= 0 && open < w.count:
			if !w.closeGroup(open) {
				return w, NotANumber
			}
			open = -1
		case r == '(' || r == ')':
			return w, NotANumber
		case mutantFoldUnicodeDigits && unicode.IsDigit(r):
			w.add('0' + byte(r&0xF)%10)
		default:
			return w, BadCharacter
		}
	}
	if open >= 0 || w.count == 0 {
		return w, NotANumber
	}
	return w, nil
}

func (w *written) add(digit byte) {
	w.digits[w.count] = digit
	w.count++
}

// closeGroup notes an optional zero. A second one is refused.
func (w *written) closeGroup(open int) bool {
	if w.count-open != 1 || w.digits[open] != '0' {
		return true
	}
	first := w.zeroAt < 0
	w.zeroAt = open
	return first
}

func (w *written) resolve() (Number, error) {
	digits := w.digits[:w.count]
	switch {
	case w.plus:
		return international(digits, w.zeroAt)
	case digits[0] == '0' && len(digits) > 1 && digits[1] == '0':
		if w.zeroAt >= 0 && w.zeroAt < 2 {
			return Number{}, NotANumber
		}
		return international(digits[2:], max(w.zeroAt-2, -1))
	case digits[0] == '0':
		if w.zeroAt > 0 {
			return Number{}, NotANumber
		}
		return dutch(digits[1:])
	case len(digits) <= longestShortCode:
		return Number{}, ShortCode
	default:
		return Number{}, NoPrefix
	}
}

// international takes the digits after + or 00.
func international(digits []byte, zeroAt int) (Number, error) {
	switch {
	case len(digits) < minDigits:
		return Number{}, TooShort
	case digits[0] == '0':
		return Number{}, NotANumber
	case digits[0] != '3' || digits[1] != '1':
		return foreign(digits, zeroAt)
	case zeroAt >= 0 && zeroAt != 2:
		return Number{}, NotANumber
	case digits[2] == '0' && !mutantKeepTrunkZero:
		return dutch(digits[3:])
	default:
		return dutch(digits[2:])
	}
}

// dutch takes the national significant number, without its trunk zero.
func dutch(national []byte) (Number, error) {
	switch {
	case len(national)+2 < minDigits:
		return Number{}, TooShort
	case len(national)+2 > maxDigits:
		return Number{}, TooLong
	case national[0] == '0' && !mutantKeepTrunkZero:
		return Number{}, NotInCountry
	case isHarmonisedCode(national):
		return Number{}, ShortCode
	}
	value := uint64(31)
	for _, digit := range national {
		value = value*10 + uint64(digit-'0')
	}
	return veiledNumber(value), nil
}
