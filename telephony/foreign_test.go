package telephony

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

var kinds = []phonenumbers.PhoneNumberType{phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.TOLL_FREE}

func regions() []string {
	return slices.Sorted(maps.Keys(phonenumbers.GetSupportedRegions()))
}

// wantAgreement reports spellings that are read as anything but want. Allowed are errors, and a zero that turns one number
// of the country's plan into another (Italy, Ascension).
func wantAgreement(t *testing.T, want Number, spellings ...string) (agreed int) {
	t.Helper()
	for _, s := range spellings {
		switch n, err := Canonical(s); {
		case err == nil && n == want:
			agreed++
		case err == nil && (n.E164()[1+len(n.Country())] != '0' || !planKnows(t, n.E164())):
			t.Errorf("Canonical(%q) = %s, want %s or an error", s, n.E164(), want.E164())
		}
	}
	return agreed
}

// Every country's own example numbers, as its own people write them for foreigners.
func TestExampleNumbersOfEveryCountry(t *testing.T) {
	read, agreed := 0, 0
	for _, region := range regions() {
		for _, kind := range kinds {
			example := phonenumbers.GetExampleNumberForType(region, kind)
			if example == nil || example.GetCountryCode() == 31 {
				continue
			}
			e164 := phonenumbers.Format(example, phonenumbers.E164)
			n, err := Canonical(e164)
			if err != nil {
				t.Logf("%s: %s is refused: %v", region, e164, err)
				continue
			}
			if n.E164() != e164 {
				t.Errorf("%s: %s became %s", region, e164, n.E164())
			}
			read++
			code := fmt.Sprint(example.GetCountryCode())
			national, trunk := e164[1+len(code):], phonenumbers.GetNddPrefixForRegion(region, true)
			shown := strings.NewReplacer("/", " ", "~", "").Replace(phonenumbers.Format(example, phonenumbers.INTERNATIONAL))
			agreed += wantAgreement(t, n, shown, "00"+e164[1:], "00 "+shown[1:], "+"+code+" "+trunk+" "+national,
				"+"+code+" (0)"+national, "+"+code+" 0"+national, "00"+code+" ("+trunk+") "+national)
		}
	}
	if read < 500 || agreed < 4*read {
		t.Errorf("%d numbers read, %d spellings agreed", read, agreed)
	}
}

// Random digits after every calling code: what is accepted is its own canonical form, and with the country's trunk prefix
// in front it is the same number, refused, or a number that the country's plan knows by itself.
func TestRandomForeignNumbersHaveOneForm(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 6))
	accepted := 0
	for _, code := range slices.Sorted(maps.Keys(phonenumbers.GetSupportedCallingCodes())) {
		region := phonenumbers.GetRegionCodeForCountryCode(code)
		trunk := phonenumbers.GetNddPrefixForRegion(region, true)
		for range 16 {
			e164 := fmt.Sprintf("+%d", code)
			for range 5 + random.IntN(8) {
				e164 += fmt.Sprint(random.IntN(10))
			}
			n, err := Canonical(e164)
			if err != nil || code == 31 {
				continue
			}
			accepted++
			canonical := n.E164()
			if again, err := Canonical(canonical); err != nil || again != n {
				t.Errorf("%s became %s, and that %s, %v", e164, canonical, again.E164(), err)
			}
			national := canonical[len(n.Country())+1:]
			prefixed := "+" + n.Country() + trunk + national
			if trunk == "" {
				continue
			}
			with, err := Canonical(prefixed)
			if err == nil && with != n && (with.E164() != prefixed || !planKnows(t, prefixed)) {
				t.Errorf("%s is %s, but with its trunk prefix %s", e164, canonical, with.E164())
			}
		}
	}
	if accepted < 500 {
		t.Errorf("only %d of the random numbers were accepted", accepted)
	}
}

func planKnows(t *testing.T, e164 string) bool {
	t.Helper()
	parsed, err := phonenumbers.Parse(e164, unknownRegion)
	if err != nil {
		t.Fatal(err)
	}
	return phonenumbers.IsValidNumber(parsed)
}

// The metadata library keeps its compiled expressions in one shared map.
func TestForeignNumbersAreReadConcurrently(t *testing.T) {
	want := mustCanonical(t, "+493012345678")
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for _, region := range regions()[:40] {
				_, _ = Canonical(phonenumbers.Format(phonenumbers.GetExampleNumber(region), phonenumbers.E164))
			}
			if n, err := Canonical("+49 (0)30 12345678"); err != nil || n != want {
				t.Errorf("%v, %v", n, err)
			}
		})
	}
	readers.Wait()
}
