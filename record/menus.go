package record

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

const maxMenus = 1000

// IsDigit reports whether s is one key of a telephone: 0 to 9, *, # or A to D.
func IsDigit(s string) bool { return len(s) == 1 && strings.Contains("0123456789*#ABCD", s) }

// menus checks the IVR menus. The law knows nothing of them.
func (r *catalogueReader) menus(list []*belpoortv1.IvrMenu) {
	if len(list) > maxMenus {
		r.fail("catalogue.ivr_menus", "holds more than %d menus", maxMenus)
		return
	}
	seen := map[string]bool{}
	for i, m := range list {
		at := fmt.Sprintf("catalogue.ivr_menus[%d]", i)
		r.known(at, m)
		id := r.nameID(at+".id", m.GetId())
		r.listedOrganisation(at+".organisation", m.GetOrganisation())
		if seen[id] {
			r.fail(at+".id", "is the same as an earlier one's: %q", id)
		}
		seen[id] = true
		r.digits(at+".digits", m.GetDigits())
	}
}

// digits checks what the digits of a menu mean. A menu in which nobody can object to everything offers no right.
func (r *catalogueReader) digits(at string, digits map[string]*belpoortv1.IvrDigit) {
	offers := false
	for _, digit := range slices.Sorted(maps.Keys(digits)) {
		d, field := digits[digit], fmt.Sprintf("%s[%q]", at, digit)
		r.known(field, d)
		if !IsDigit(digit) {
			r.fail(at, "must name its digits by one of 0 to 9, *, # and A to D")
		}
		r.digit(field, d)
		offers = offers || d.GetMeaning() == belpoortv1.IvrDigit_MEANING_OBJECT && d.GetProduct() == ""
	}
	if !offers {
		r.fail(at, "has no digit with which one objects to every call of the organisation")
	}
}

func (r *catalogueReader) digit(at string, d *belpoortv1.IvrDigit) {
	meaning := d.GetMeaning()
	switch {
	case meaning == belpoortv1.IvrDigit_MEANING_UNSPECIFIED:
		r.fail(at+".meaning", "is missing")
	case belpoortv1.IvrDigit_Meaning_name[int32(meaning)] == "":
		r.fail(at+".meaning", "has the unknown value %d", meaning)
	case d.GetProduct() != "" && meaning != belpoortv1.IvrDigit_MEANING_OBJECT:
		r.fail(at+".product", "goes only with the meaning OBJECT")
	case d.GetProduct() != "" && d.GetSpoken() == "":
		r.fail(at+".spoken", "is missing: only what the menu says can narrow an objection")
	}
	r.text(at+".product", d.GetProduct(), MaxText)
	r.text(at+".spoken", d.GetSpoken(), MaxWords)
}
