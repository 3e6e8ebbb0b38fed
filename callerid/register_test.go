package callerid

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestNewRegisterRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(*Registration)
		want   string
	}{
		{func(g *Registration) { g.Number = "" }, "caller_ids[1].number: is not a canonical E.164 number"},
		{func(g *Registration) { g.Number = "0201234567" }, "caller_ids[1].number: is not a canonical E.164 number"},
		{func(g *Registration) { g.Number = "+3120-1234567" }, "caller_ids[1].number: is not a canonical E.164 number"},
		{func(g *Registration) { g.Number = "+0201234567" }, "caller_ids[1].number: is not a canonical E.164 number"},
		{func(g *Registration) { g.Number = "+123456" }, "caller_ids[1].number: is not a canonical E.164 number"},
		{func(g *Registration) { g.Number = "+1234567890123456" }, "caller_ids[1].number: is not a canonical E.164 number"},
		{func(g *Registration) { g.Organisation = "" }, "caller_ids[1].organisation: must have 1 to 128 bytes"},
		{func(g *Registration) { g.Organisation = strings.Repeat("a", 129) }, "caller_ids[1].organisation: must have 1 to 128 bytes"},
		{func(g *Registration) { g.ValidFrom = time.Date(1899, 12, 31, 0, 0, 0, 0, time.UTC) }, "caller_ids[1].valid_from: is not between the years 1900 and 2199"},
		{func(g *Registration) { g.ValidUntil = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }, "caller_ids[1].valid_until: is not between the years 1900 and 2199"},
		{func(g *Registration) { g.ValidFrom, g.ValidUntil = noon, noon.Add(-1) }, "caller_ids[1].valid_until: must be after valid_from"},
		{func(g *Registration) { g.ValidFrom, g.ValidUntil = noon, noon }, "caller_ids[1].valid_until: must be after valid_from"},
		{func(g *Registration) { g.CallbackTestedAt = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, "caller_ids[1].callback_tested_at: is not between the years 1900 and 2199"},
		{func(g *Registration) { g.PublishedURL = "acme.example" }, "caller_ids[1].published_url: is not an http or https URL"},
		{func(g *Registration) { g.PublishedURL = "ftp://acme.example" }, "caller_ids[1].published_url: is not an http or https URL"},
		{func(g *Registration) { g.PublishedURL = "https:///wie-belt-u" }, "caller_ids[1].published_url: is not an http or https URL"},
		{func(g *Registration) { g.PublishedURL = "https://acme.example/" + strings.Repeat("a", 2048) }, "caller_ids[1].published_url: is not an http or https URL"},
	} {
		wrong := registration()
		c.change(&wrong)
		r, err := NewRegister([]Registration{registration(), wrong})
		if r != nil || err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
		var field *RegistrationError
		if !errors.As(err, &field) || field.Index != 1 {
			t.Errorf("%v is no RegistrationError of index 1", err)
		}
	}
}

func TestNewRegisterNamesSeveralErrors(t *testing.T) {
	_, err := NewRegister(make([]Registration, 30))
	if got := strings.Count(err.Error(), "caller_ids["); got != maxErrors {
		t.Errorf("got %d errors, want %d", got, maxErrors)
	}
}

func TestNewRegisterBoundsOneNumber(t *testing.T) {
	all := make([]Registration, maxPerNumber+1)
	for i := range all {
		all[i] = registration()
	}
	if _, err := NewRegister(all[:maxPerNumber]); err != nil {
		t.Error(err)
	}
	want := "caller_ids[100].number: more than 100 registrations of one number"
	if _, err := NewRegister(all); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestRegisterIsACopy changes what NewRegister was given.
func TestRegisterIsACopy(t *testing.T) {
	given := []Registration{registration()}
	r := register(t, given...)
	given[0].Organisation = "bank"
	if got := r.Check(question(own)); got.Reason != 0 {
		t.Errorf("the register changed with its argument: %v", got.Reason)
	}
}
