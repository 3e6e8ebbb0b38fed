package telephony

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func mustCanonical(t testing.TB, s string) Number {
	t.Helper()
	n, err := Canonical(s)
	if err != nil {
		t.Fatalf("Canonical(%q): %v", s, err)
	}
	return n
}

func wantSame(t *testing.T, want string, spellings ...string) {
	t.Helper()
	canonical := mustCanonical(t, want)
	if canonical.E164() != want {
		t.Errorf("Canonical(%q) = %s", want, canonical.E164())
	}
	for _, s := range spellings {
		if n, err := Canonical(s); err != nil || n != canonical || n.E164() != want {
			t.Errorf("Canonical(%q) = %s, %v, want %s", s, n.E164(), err, want)
		}
	}
}

func TestDutchSpellings(t *testing.T) {
	wantSame(t, "+31612345678",
		"0612345678", "06-12345678", "06 12 34 56 78", "06.1234.5678", "(06) 12345678", "(06)-12345678", "(0)6 12345678",
		"0 6 1 2 3 4 5 6 7 8", "  0612345678  ", "06 -- 12345678", "06-12345678.",
		"0031612345678", "0031 6 12345678", "00 31 6 12345678", "0031 (0)6 12345678", "0031(0)612345678", "00310612345678",
		"(0031) 6 12345678", "(00 31) 06 12345678", "00-31-6-12345678",
		"+31 6 12345678", "+31 06 12345678", "+310612345678", "+31(0)612345678", "+31 (0) 6 12 34 56 78", "+31 ( 0 )612345678",
		"+31 (06) 12345678", "+31-6-12345678", "+31.6.12345678", "+ 31 6 12345678", "(+31) 6 12345678", "+(31) 6 12345678",
		" +31612345678", "+31 (6) 12345678")
	wantSame(t, "+31201234567", "020 1234567", "020-1234567", "(020) 123 45 67", "(0)20-1234567", "+31 (0)20 1234567",
		"+31 20 1234567", "0031 20 123 4567", "+31 (20) 1234567", "+31 020 1234567")
	wantSame(t, "+31113123456", "0113-123456", "+31 (0)113 123456", "0031113123456")
}

// The rows of the numbering plan. The plan itself is law data: here every range comes out canonical, the unassigned ones
// too, so that the law can name the reason.
func TestDutchRangesAreNotJudged(t *testing.T) {
	wantSame(t, "+31201234567", "0201234567")
	wantSame(t, "+31851234567", "085-1234567")
	wantSame(t, "+31881234567", "088-1234567")
	wantSame(t, "+31841234567", "084-1234567")
	wantSame(t, "+31821234567", "082 1234567")
	wantSame(t, "+31911234567", "091 1234567")
	wantSame(t, "+318001234", "0800 1234", "08001234", "+31 (0)800-1234", "0031 0800 1234")
	wantSame(t, "+318001234567", "0800-1234567")
	wantSame(t, "+319001234", "0900-1234", "+31 0900 1234")
	wantSame(t, "+319061234567", "0906 1234567")
	wantSame(t, "+319091234", "0909-1234")
	wantSame(t, "+3197012345678", "097 012345678", "+31 (0)970 12345678")
	wantSame(t, "+3114020", "+31 14 020", "0031 14020", "014020")
	wantSame(t, "+31140113", "+31 14 0113")
	wantSame(t, "+31661234567", "066-1234567")
	for _, unassigned := range []string{"671234567", "691234567", "601234567", "801234567", "861234567", "391234567", "811234567"} {
		wantSame(t, "+31"+unassigned, "0"+unassigned, "0031"+unassigned, "+31 (0)"+unassigned)
	}
}

func TestForeignSpellings(t *testing.T) {
	wantSame(t, "+5997151234", "00599 715 1234", "+599-7151234")
	wantSame(t, "+493012345678", "+49 (0)30 12345678", "+49 030 12345678", "0049 30 12345678", "0049 (0)30-12345678")
	wantSame(t, "+442079460958", "+44 (0)20 7946 0958", "+44 020 7946 0958", "0044 20 7946 0958", "+4402079460958")
	wantSame(t, "+3225551234", "+32 (0)2 555 12 34", "+32 02 5551234", "0032 2 555 12 34")
	wantSame(t, "+12125550100", "+1 (212) 555-0100", "001 212 555 0100", "+1 1 212 555 0100")
	wantSame(t, "+78121234567", "+7 8 812 123-45-67", "007 812 1234567")
	wantSame(t, "+3612345678", "+36 06 1 234 5678", "0036 1 234 5678")
	wantSame(t, "+5491112345678", "+54 9 11 1234-5678", "+54 11 15 1234-5678", "+54 011 15 1234 5678", "0054 11 15 12345678")
	wantSame(t, "+5511987654321", "+55 11 98765-4321", "+55 0 15 11 98765-4321", "+55 (0) 11 98765 4321")
	wantSame(t, "+39066982", "+39 06 6982", "0039 06 6982")
	wantSame(t, "+393471234567", "+39 347 1234567")
	wantSame(t, "+3780549886377", "+378 0549 886377", "+378 886377")
	wantSame(t, "+442890123456", "+44 (0)28 9012 3456")
	wantSame(t, "+80012345678", "00800 1234 5678")
}

func TestCauses(t *testing.T) {
	for _, c := range []struct {
		cause  Cause
		inputs []string
	}{
		{TooLong, []string{
			strings.Repeat("0", 41), "06" + strings.Repeat(" ", 31) + "12345678", "06 12345678" + strings.Repeat("\x00", 40),
			"+31612345678901234", "06123456789012345", "+4912345678901234567", "+12125550100123456", "+44 00 20 7946 0958",
		}},
		{BadCharacter, []string{
			"0612345678x12", "tel:+31612345678", "06/12345678", "06_12345678", "0612345678;ext=1", "0612345678#", "*31#0612345678",
			"06\x0012345678", "06\t12345678", "0612345678\n", "+31 6 1234567O", "0800-BELPOORT", "٠٦١٢٣٤٥٦٧٨", "06١٢٣٤٥٦٧٨",
			"０６１２３４５６７８", "+31６12345678", "०६१२३४५६७८", "𝟎𝟔𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖", "＋31612345678", "+31\u00a0612345678", "06\u201112345678",
			"\u202e0612345678", "\u200b0612345678", "06\u200d12345678", "\ufeff0612345678", "06\xff12345678", "06\xc0\xb612345678",
			"++31612345678", "+31+612345678", "31+612345678", "0612345678+", "-+31612345678", "6.12345678E+10", "0x612345678",
			"0612345678,0612345679", "[0612345678]", "+31 6 ‒ 12345678", "²0612345678", "'0612345678", "=0612345678",
		}},
		{TooShort, []string{"0", "00", "+3", "+31", "+31612", "0112", "+31112", "0031112", "01850", "+311850", "0612", "+4912", "+15550100", "+123456"}},
		{NotANumber, []string{
			"", " ", "-", "...", "+", "()", "( )", "(06 12345678", "06) 12345678", "((06)) 12345678", ")06(12345678",
			"+31 (0)(0)6 12345678", "+31 6 (0) 12345678", "(0)031 6 12345678", "0(0)31 6 12345678", "06 (0) 12345678", "(0)06(0)12345678",
			"+0031612345678", "+0612345678", "000 31 6 12345678", "+44 20 (0) 79460958", "+4(0)4 20 79460958", "+(0)31612345678",
		}},
		{ShortCode, []string{
			"112", "113", "144", "14020", "140113", "1850", "1888", "1233", "116000", "116123", "6",
			"+31116000", "+31 116 123", "0116123", "0031 116 000", "+31 (0)116 000",
		}},
		{NoPrefix, []string{"612345678", "31612345678", "31612345678.0", "201234567", "6 12345678", "(31) 6 12345678", "1234567"}},
		{NotInCountry, []string{
			"+31 00 6 12345678", "0031 00 612345678", "+31 (0)06 12345678", "+3100612345678",
			"+9991234567", "+2101234567", "+57 0 54612888652", "+39 (0)6 6982", "+39 0347 1234567", "+39 0549 886377", "+353 48 901234",
		}},
	} {
		for _, input := range c.inputs {
			if n, err := Canonical(input); !errors.Is(err, c.cause) || !n.IsZero() {
				t.Errorf("Canonical(%q) = %s, %v, want %q", input, n.E164(), err, c.cause)
			}
		}
	}
}

func TestEveryCauseHasASentenceWithoutDigits(t *testing.T) {
	for _, c := range []Cause{TooLong, BadCharacter, TooShort, NotANumber, ShortCode, NoPrefix, NotInCountry} {
		if sentences[c] == "" || strings.ContainsAny(c.Error(), "0123456789") || !strings.HasPrefix(c.Error(), string(c)) {
			t.Errorf("%q reads %q", string(c), c.Error())
		}
	}
	if len(sentences) != 7 {
		t.Errorf("%d sentences for 7 causes", len(sentences))
	}
}

// dutchSpellings are all combinations of a way to begin and a way to group.
func dutchSpellings(national string) []string {
	var grouped []string
	for _, separator := range []string{"", " ", "-", ".", " - "} {
		for cut := 1; cut < len(national); cut += 2 {
			grouped = append(grouped, national[:cut]+separator+national[cut:])
		}
	}
	grouped = append(grouped, strings.Join(strings.Split(national, ""), " "), national[:2]+" "+national[2:4]+" "+national[4:])
	var spellings []string
	for _, beginning := range []string{
		"0", "(0)", "(0) ", "+31", "+31 ", "+31-", "+310", "+31 0", "+31(0)", "+31 (0) ", "(+31) ", "(+31)0", "+(31) ",
		"0031", "0031 ", "00310", "0031 0", "0031(0)", "0031 (0)", "00 31 (0) ", "(0031)",
	} {
		for _, g := range grouped {
			spellings = append(spellings, beginning+g)
		}
	}
	return spellings
}

func TestAllSpellingsOfADutchNumberAgree(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	read := 0
	for range 100 {
		national := fmt.Sprint(1 + random.IntN(9))
		for range 4 + random.IntN(7) {
			national += fmt.Sprint(random.IntN(10))
		}
		if strings.HasPrefix(national, "116") && len(national) == 6 {
			continue
		}
		want := mustCanonical(t, "+31"+national)
		if want.E164() != "+31"+national {
			t.Fatalf("+31%s became %s", national, want.E164())
		}
		for _, s := range dutchSpellings(national) {
			if len(s) > MaxInput {
				continue
			}
			read++
			if n, err := Canonical(s); err != nil || n != want {
				t.Fatalf("Canonical(%q) = %s, %v, want %s", s, n.E164(), err, want.E164())
			}
		}
	}
	if read < 30_000 {
		t.Errorf("only %d spellings read", read)
	}
}

func TestFastPathAgreesWithSlowPath(t *testing.T) {
	for _, s := range []string{
		"+31612345678", "+3114020", "+311402", "+31116000", "+31116001", "+31117000", "+310612345678", "+31123456789012345",
		"+311234567890123", "+3112345678901234", "+31 61234567", "+3161234567a", "+3261234567", "-31612345678", "+31",
	} {
		fast, ok := canonicalDutch(s)
		if !ok {
			continue
		}
		w, err := read(s)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if slow, err := w.resolve(); err != nil || slow != fast {
			t.Errorf("%q: fast %s, slow %s, %v", s, fast.E164(), slow.E164(), err)
		}
	}
	for _, s := range []string{"+31612345678", "+3114020", "+311234567890123"} {
		if _, ok := canonicalDutch(s); !ok {
			t.Errorf("%q does not take the fast path", s)
		}
	}
}

func TestCanonicalAllocatesNothingForDutchNumbers(t *testing.T) {
	for _, s := range []string{"+31612345678", "06-12345678", "+31 (0)20 123 45 67", "0031612345678", "112", "tel:0612345678"} {
		if allocations := testing.AllocsPerRun(100, func() { _, _ = Canonical(s) }); allocations != 0 {
			t.Errorf("Canonical(%q) allocates %v times", s, allocations)
		}
	}
}

func benchmarkCanonical(b *testing.B, s string) {
	b.ReportAllocs()
	for b.Loop() {
		if n, err := Canonical(s); err != nil || n.IsZero() {
			b.Fatal(err)
		}
	}
}

func BenchmarkCanonicalE164(b *testing.B)     { benchmarkCanonical(b, "+31612345678") }
func BenchmarkCanonicalNational(b *testing.B) { benchmarkCanonical(b, "06-12345678") }
func BenchmarkCanonicalForeign(b *testing.B)  { benchmarkCanonical(b, "+493012345678") }
func BenchmarkCanonicalTrunkZero(b *testing.B) {
	b.ReportAllocs()
	benchmarkCanonical(b, "+31 (0)6 12345678")
}
