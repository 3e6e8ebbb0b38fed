// Package telephony knows telephone numbers as people and machines write them, and brings every spelling to one
// canonical E.164 form or to an error. Every door (gRPC, CSV, scenarios, HTTP) uses this one canonicaliser.
//
// It knows numbers and country calling codes. It must not know campaigns, law or storage: whether a Dutch range may be
// called or shown is law data and is decided in eligibility.
package telephony

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
)

// The bounds of a canonical number, in digits after the plus: E.164 (ITU-T, 6.1) allows at most fifteen; seven is the
// shortest Dutch number with its country code, a municipality's +3114020.
const (
	minDigits = 7
	maxDigits = 15
)

// Number is one telephone number in canonical form. The zero Number is no number. Numbers compare with == and serve as
// map keys within one process.
//
// A Number gives its digits to E164 and AppendE164 only. Everything that prints or encodes by itself (fmt with any verb,
// encoding/json, log/slog) gets Masked.
type Number struct {
	// veiled is the number as an integer, combined with veil: fmt reads unexported fields by reflection, past every
	// method, when a Number is part of a larger struct, and so do %p and a debugger's dump.
	veiled uint64
}

// veil differs in every process. Its highest bit, which no number reaches, keeps a veiled number from being zero.
var veil = rand.Uint64() | 1<<63

// ErrNotCanonical says that a text handed to Restore was not the canonical form of a number.
var ErrNotCanonical = errors.New("not a canonical telephone number")

// Restore takes back what E164 gave, for example out of a sealed column. It looks at the shape only (a plus and 7 to 15
// digits, the first not 0) and at no metadata, so that what was once stored stays readable. It is no door: what comes
// from outside goes through Canonical.
func Restore(e164 string) (Number, error) {
	if len(e164) < 1+minDigits || len(e164) > 1+maxDigits || e164[0] != '+' || e164[1] == '0' {
		return Number{}, ErrNotCanonical
	}
	var value uint64
	for i := 1; i < len(e164); i++ {
		digit := e164[i] - '0'
		if digit > 9 {
			return Number{}, ErrNotCanonical
		}
		value = value*10 + uint64(digit)
	}
	return veiledNumber(value), nil
}

func veiledNumber(value uint64) Number { return Number{veiled: value ^ veil} }

func (n Number) value() uint64 { return n.veiled ^ veil }

// IsZero reports whether n is no number.
func (n Number) IsZero() bool { return n.veiled == 0 }

// E164 is the real number: a plus and 7 to 15 digits. It is empty for the zero Number.
func (n Number) E164() string {
	var buf [1 + maxDigits]byte
	return string(n.AppendE164(buf[:0]))
}

// AppendE164 appends what E164 returns to dst.
func (n Number) AppendE164(dst []byte) []byte {
	if n.IsZero() {
		return dst
	}
	return strconv.AppendUint(append(dst, '+'), n.value(), 10)
}

// Country is the country calling code, one to three digits without a plus, such as "31". Several countries may share one
// (1, 7, 44, 599). It is empty for the zero Number.
func (n Number) Country() string {
	if n.IsZero() {
		return ""
	}
	leading := n.value()
	for leading > 999 {
		leading /= 10
	}
	return strconv.FormatUint(callingCode(leading), 10)
}

// Masked shows the country calling code and the last two digits, and how many digits lie between: "+31•••••••78".
// It is "none" for the zero Number.
func (n Number) Masked() string {
	if n.IsZero() {
		return "none"
	}
	if mutantUnmasked {
		return n.E164()
	}
	country, e164 := n.Country(), n.E164()
	last := len(e164) - 2
	return "+" + country + strings.Repeat("•", last-1-len(country)) + e164[last:]
}

// String is Masked.
func (n Number) String() string { return n.Masked() }

// GoString is Masked.
func (n Number) GoString() string { return n.Masked() }

// Format writes Masked, whatever the verb and the flags.
func (n Number) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, n.Masked()) }

// LogValue is Masked.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.Masked()) }

// MarshalText is Masked.
func (n Number) MarshalText() ([]byte, error) { return []byte(n.Masked()), nil }

// MarshalJSON is Masked as a JSON string.
func (n Number) MarshalJSON() ([]byte, error) { return []byte(`"` + n.Masked() + `"`), nil }
