package record_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

func menus() []*belpoortv1.IvrMenu {
	return []*belpoortv1.IvrMenu{{Id: "m", Organisation: "acme", Digits: map[string]*belpoortv1.IvrDigit{
		"9": {Meaning: belpoortv1.IvrDigit_MEANING_OBJECT}, "1": {Meaning: belpoortv1.IvrDigit_MEANING_NOT_OBJECTED},
		"2": {Meaning: belpoortv1.IvrDigit_MEANING_OBJECT, Product: "gas", Spoken: "press 2 for gas"},
		"#": {Meaning: belpoortv1.IvrDigit_MEANING_REPEAT},
	}}}
}

// A menu in which nobody can object, or in which a digit means nothing certain, would lose objections.
func TestBadMenusAreRefusedByPath(t *testing.T) {
	type m = *belpoortv1.IvrMenu
	digit := func(at string, meaning belpoortv1.IvrDigit_Meaning, product, spoken string) func(m) {
		return func(menu m) {
			menu.Digits[at] = &belpoortv1.IvrDigit{Meaning: meaning, Product: product, Spoken: spoken}
		}
	}
	for _, bad := range []struct {
		path  string
		spoil func(m)
	}{
		{"[0].id", func(menu m) { menu.Id = "Menu" }},
		{"[0].organisation", func(menu m) { menu.Organisation = "nobody" }},
		{"[0].digits", func(menu m) { menu.Digits = nil }},
		{"[0].digits", func(menu m) { delete(menu.Digits, "9") }},
		{"[0].digits", digit("10", 1, "", "")},
		{"[0].digits", digit("", 1, "", "")},
		{`[0].digits["3"].meaning`, digit("3", 0, "", "")},
		{`[0].digits["3"].meaning`, digit("3", 99, "", "")},
		{`[0].digits["3"].product`, digit("3", 2, "gas", "s")},
		{`[0].digits["3"].spoken`, digit("3", 1, "gas", "")},
		{`[0].digits["3"].spoken`, digit("3", 1, "", strings.Repeat("s", 501))},
	} {
		c := catalogue(t)
		c.IvrMenus = menus()
		bad.spoil(c.IvrMenus[0])
		_, err := record.CatalogueFromProto(c, law(), keep)
		var field *record.FieldError
		if !errors.As(err, &field) || field.Field != "catalogue.ivr_menus"+bad.path {
			t.Errorf("want catalogue.ivr_menus%s, got %v", bad.path, err)
		}
	}
	c := catalogue(t)
	c.IvrMenus = append(menus(), menus()...)
	if _, err := record.CatalogueFromProto(c, law(), keep); err == nil || !strings.Contains(err.Error(), "ivr_menus[1].id") {
		t.Errorf("the same id twice: %v", err)
	}
	c.IvrMenus = nil
	for i := range 1001 {
		m := menus()[0]
		m.Id = fmt.Sprint("m-", i)
		c.IvrMenus = append(c.IvrMenus, m)
	}
	if _, err := record.CatalogueFromProto(c, law(), keep); err == nil {
		t.Error("1,001 menus are taken")
	}
	c.IvrMenus = menus()
	if _, err := record.CatalogueFromProto(c, law(), keep); err != nil {
		t.Error(err)
	}
}
