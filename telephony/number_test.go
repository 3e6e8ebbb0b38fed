package telephony

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

func TestMasked(t *testing.T) {
	for e164, want := range map[string]string{
		"+31612345678":   "+31•••••••78",
		"+3114020":       "+31•••20",
		"+5997151234":    "+599•••••34",
		"+12125550100":   "+1••••••••00",
		"+3197012345678": "+31•••••••••78",
	} {
		if got := mustCanonical(t, e164).Masked(); got != want {
			t.Errorf("%s masked is %s, want %s", e164, got, want)
		}
	}
	if got := (Number{}).Masked(); got != "none" {
		t.Errorf("no number masked is %q", got)
	}
}

// What is not exported is out of reach of every method of Number: fmt prints it by reflection.
type call struct {
	Callee Number
	callee Number
	others []Number
	seen   map[Number]*Number
}

type element struct {
	Number Number
	Attr   Number `xml:"attr,attr"`
}

func TestANumberShowsOnlyItsMask(t *testing.T) {
	n := mustCanonical(t, "+31612345678")
	c := call{Callee: n, callee: n, others: []Number{n}, seen: map[Number]*Number{n: &n}}
	var out bytes.Buffer
	for _, verb := range strings.Split("v +v #v s q x X d b o O c U e g t T p 20s -20.15v 08d", " ") {
		for _, value := range []any{n, &n, c, &c, []Number{n}, [1]Number{n}, map[string]Number{"n": n}, fmt.Errorf("refused: %v", n)} {
			fmt.Fprintf(&out, "%"+verb+"\n", value)
		}
	}
	fmt.Fprintln(&out, n, c, &c, n.String(), n.GoString())
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).With("n", n).Info("call", "number", n, "pointer", &n, "call", c, "list", []Number{n})
	}
	inJSON, err := json.Marshal(map[Number]any{n: []any{n, &n, c}})
	if err != nil {
		t.Fatal(err)
	}
	inXML, err := xml.Marshal(element{n, n})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(inJSON)
	out.Write(inXML)
	all := out.String()
	if !strings.Contains(all, "+31•••••••78") {
		t.Fatal("nothing was printed")
	}
	for _, raw := range []string{"612345678", fmt.Sprintf("%x", "+31612345678"), fmt.Sprintf("%X", "+31612345678"), fmt.Sprintf("%x", 31612345678), fmt.Sprintf("%b", 31612345678), "12345678"} {
		if at := strings.Index(all, raw); at >= 0 {
			t.Errorf("the number shows as %s", all[max(0, at-60):min(len(all), at+60)])
		}
	}
}

func TestJSONOfANumberIsValid(t *testing.T) {
	for _, n := range []Number{{}, mustCanonical(t, "+31612345678")} {
		text, err := json.Marshal(n)
		var back string
		if err != nil || json.Unmarshal(text, &back) != nil || back != n.Masked() {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNumbersCompare(t *testing.T) {
	a, b, other := mustCanonical(t, "06-12345678"), mustCanonical(t, "+31 (0)6 12345678"), mustCanonical(t, "+31612345679")
	if a != b || a == other || a.IsZero() || (Number{}).E164() != "" || !(Number{}).IsZero() {
		t.Errorf("%v %v %v", a == b, a == other, a.IsZero())
	}
	if got := string(a.AppendE164([]byte("x"))); got != "x+31612345678" {
		t.Errorf("AppendE164 gives %s", got)
	}
}

func TestRestore(t *testing.T) {
	for _, e164 := range []string{"+31612345678", "+3114020", "+39066982", "+999999999999999", "+1000000", "+4402079460958"} {
		if n, err := Restore(e164); err != nil || n.E164() != e164 {
			t.Errorf("Restore(%q) = %s, %v", e164, n.E164(), err)
		}
	}
	for _, bad := range []string{"", "+", "31612345678", "+0612345678", "+311402", "+1234567890123456", "+3161234567a", "+31 6123456", "06-12345678", "+31612345678\x00"} {
		if n, err := Restore(bad); !errors.Is(err, ErrNotCanonical) || !n.IsZero() {
			t.Errorf("Restore(%q) = %s, %v", bad, n.E164(), err)
		}
	}
}

func TestCountry(t *testing.T) {
	for e164, want := range map[string]string{"+31612345678": "31", "+5997151234": "599", "+12125550100": "1", "+78121234567": "7", "+3780549886377": "378"} {
		if got := mustCanonical(t, e164).Country(); got != want {
			t.Errorf("%s is of country %s, want %s", e164, got, want)
		}
	}
	if got := (Number{}).Country(); got != "" {
		t.Errorf("no number is of country %q", got)
	}
	codes := phonenumbers.GetSupportedCallingCodes()
	if len(codes) < 200 {
		t.Fatalf("the metadata knows %d calling codes", len(codes))
	}
	for code := range codes {
		n, err := Restore(fmt.Sprintf("+%d000000", code))
		if err != nil || n.Country() != fmt.Sprint(code) {
			t.Errorf("country %d is read as %q, %v", code, n.Country(), err)
		}
	}
}

func TestCountryOfADutchNumberAllocatesNothing(t *testing.T) {
	n := mustCanonical(t, "+31612345678")
	if allocations := testing.AllocsPerRun(100, func() { _ = n.Country() }); allocations != 0 {
		t.Errorf("Country allocates %v times", allocations)
	}
}
