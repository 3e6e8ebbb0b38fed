package telephony

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// intruders may stand nowhere in a number.
var intruders = []string{
	"\x00", "\t", "\n", "\r", "\x7f", "\x80", "\xff", "\xc3", "\u00a0", "\u00ad", "\u061c", "\u200b", "\u200c", "\u200d", "\u200e",
	"\u200f", "\u2010", "\u2011", "\u2012", "\u2013", "\u2028", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069", "\ufeff", "\ufe0e",
	"\u0301", "\u20e3", "\U000e0030", "\u3000", "\uff0b", "\uff0d", "\uff08", "\u0660", "\u06f3", "\u0966", "\u09e6", "\uff10", "\U0001d7ce",
	"\u00b2", "\u2460", "\u4e00", "a", "O", "l", "x", "ext", ";ext=1", "p", "w", ",", ";", "#", "*", "/", "\\", "_", "~", "'", "\"", "=",
	"@", ":", "tel:", "sip:", "%30", "&#48;", "<", ">", "[", "]", "{", "|", "$", "++",
}

// digitSets are the decimal digits of scripts that a lenient reader would fold to ASCII.
var digitSets = []rune{0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0E50, 0x0ED0, 0x1040, 0x17E0, 0x1810, 0xFF10, 0x104A0, 0x1D7CE, 0x1D7D8, 0x1FBF0}

func inScript(digits string, zero rune) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return zero + r - '0'
		}
		return r
	}, digits)
}

// hostileInputs are made from good numbers: none of them is one.
func hostileInputs(count int) []string {
	random := rand.New(rand.NewPCG(20, 26))
	made := make([]string, 0, count)
	for len(made) < count {
		good := fmt.Sprintf([]string{"+316%08d", "06-%08d", "0031 6 %08d", "+31 (0)6 %08d", "020 %07d"}[random.IntN(5)], random.IntN(10_000_000))
		at := random.IntN(len(good) + 1)
		switch random.IntN(6) {
		case 0, 1:
			made = append(made, good[:at]+intruders[random.IntN(len(intruders))]+good[at:])
		case 2:
			made = append(made, inScript(good, digitSets[random.IntN(len(digitSets))]))
		case 3:
			first := strings.IndexAny(good, "123456789")
			made = append(made, good[:first]+inScript(good[first:first+1], digitSets[random.IntN(len(digitSets))])+good[first+1:])
		case 4:
			made = append(made, good+strings.Repeat(intruders[random.IntN(len(intruders))], 1+random.IntN(2000)))
		case 5:
			made = append(made, good+strings.Repeat(string("0123456789 -."[random.IntN(13)]), MaxInput))
		}
	}
	return made
}

func TestHostileInputsAreRefused(t *testing.T) {
	causes := map[Cause]int{}
	for _, input := range hostileInputs(5000) {
		n, err := Canonical(input)
		var cause Cause
		if !errors.As(err, &cause) || !n.IsZero() {
			t.Errorf("Canonical(%q) = %s, %v", input, n.E164(), err)
			continue
		}
		causes[cause]++
	}
	if causes[BadCharacter] < 2000 || causes[TooLong] < 500 {
		t.Errorf("refused for %v", causes)
	}
}

// FuzzCanonical holds for any bytes: no panic, a Cause or a number within bounds, a canonical form that is its own
// canonical form, agreement of the spellings of that form, and an error without digits.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		"+31612345678", "06-12345678", "0031 (0)6 12345678", "+31 06 12345678", "(020) 1234567", "+3114020", "112", "116000",
		"+5997151234", "+44 (0)20 7946 0958", "+39 06 6982", "+54 11 15 1234-5678", "+1 (212) 555-0100", "+378 886377", "+9991234567",
		"0612345678x1", "tel:+31612345678", "٠٦١٢٣٤٥٦٧٨", "\u202e0612345678", "06\x0012345678", "", "+", "()", "(0)", "+31(0)(0)6",
	} {
		f.Add(s)
	}
	for _, s := range hostileInputs(50) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Canonical(s)
		if err != nil {
			var cause Cause
			if !errors.As(err, &cause) || sentences[cause] == "" || strings.ContainsAny(err.Error(), "0123456789") || !n.IsZero() {
				t.Fatalf("Canonical(%q) = %s, %v", s, n.E164(), err)
			}
			return
		}
		if len(s) > MaxInput || strings.Trim(s, "0123456789+-. ()") != "" || !utf8.ValidString(s) {
			t.Fatalf("Canonical(%q) was read", s)
		}
		e164 := n.E164()
		if len(e164) < 1+minDigits || len(e164) > 1+maxDigits || e164[0] != '+' || e164[1] == '0' || strings.Trim(e164[1:], "0123456789") != "" {
			t.Fatalf("Canonical(%q) = %s", s, e164)
		}
		checkSpellings(t, n, e164)
	})
}

func checkSpellings(t *testing.T, n Number, e164 string) {
	t.Helper()
	code := n.Country()
	national := e164[1+len(code):]
	spellings := []string{e164, "00" + e164[1:], "+" + code + " " + national, "00 " + code + "-" + national, "(+" + code + ") " + national}
	if code == "31" {
		spellings = append(spellings, "0"+national, "+310"+national, "+31 (0)"+national, "00310"+national)
	} else if again, err := Canonical("+" + code + " (0)" + national); err == nil && again != n {
		t.Fatalf("%s with an optional zero is %s", e164, again.E164())
	}
	for _, s := range spellings {
		if again, err := Canonical(s); err != nil || again != n || again.E164() != e164 {
			t.Fatalf("%s spelled %q is %s, %v", e164, s, again.E164(), err)
		}
	}
}
