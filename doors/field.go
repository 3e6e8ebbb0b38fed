// Package doors is what all doors have in common that dialers and IVRs use instead of gRPC: which names they give to the
// fields of a question, how a question is put to the service, and how an answer is told in few words or aloud. It knows
// the API as any client does, and asks it through one connection with the caller's own key. It must not know how a door
// speaks (HTTP, AGI), nor anything of the law, the stores or the service behind the connection.
package doors

import (
	"fmt"
	"slices"
	"strings"
)

// Field is something that a dialer or IVR tells.
type Field string

// The fields, by the names that Belpoort itself gives them.
const (
	Callee       Field = "callee"       // the number to be called
	Campaign     Field = "campaign"     // in which campaign
	CallerID     Field = "caller_id"    // the number that is shown
	Presentation Field = "presentation" // how it is shown: ALLOWED, RESTRICTED, UNAVAILABLE
	Person       Field = "person"       // who is expected to answer
	Mode         Field = "mode"         // HUMAN or AUTOMATED
	Dialing      Field = "dialing"      // PREDICTIVE or PREVIEW
	CallID       Field = "call_id"      // the dialer's own id of the call
	Lead         Field = "lead"         // the dialer's own id of the person on its list
	RequestID    Field = "request_id"   // makes repeating harmless
	Permit       Field = "permit"       // what an ALLOW gave
	Organisation Field = "organisation" // in whose name
	Via          Field = "via"          // how an objection or offer was made
	Scope        Field = "scope"        // how far an objection reaches
	Product      Field = "product"
	By           Field = "by"        // who objected
	OwnWords     Field = "own_words" // the person's own words, where they narrow an objection
	Menu         Field = "menu"      // the IVR menu in which a digit was pressed
	Digit        Field = "digit"     // the digit
	Result       Field = "result"    // what came of an offer
	How          Field = "how"       // how the right was offered
	Recording    Field = "recording" // where the call was recorded
	Receipt      Field = "receipt"   // of an objection
	From         Field = "from"      // the party that placed the call, in the words of telephony platforms
	To           Field = "to"        // the party that was called
	Direction    Field = "direction" // inbound or outbound
	Style        Field = "style"     // how an answer to a check is written
	As           Field = "as"        // in which form an objection is answered
	Language     Field = "lang"      // in which language it is spoken
)

// names are those under which systems send the fields; what stands first is ours.
var names = []struct {
	field Field
	also  []string
}{
	{Callee, []string{"phone", "phone_number", "number", "telephone", "tel", "msisdn", "destination", "destination_number", "dialed_number", "telefoon", "telefoonnummer", "nummer"}},
	{Campaign, []string{"campaign_id", "campagne"}},
	{CallerID, []string{"caller_id_number", "cid", "cli", "ani", "outbound_cid", "outbound_caller_id", "effective_caller_id_number"}},
	{Presentation, []string{"caller_id_presentation"}},
	{Person, nil},
	{Mode, nil},
	{Dialing, nil},
	{CallID, []string{"CallSid", "uniqueid", "call_uuid", "uuid", "ucid", "connid"}},
	{Lead, []string{"lead_id"}},
	{RequestID, []string{"idempotency_key"}},
	{Permit, nil},
	{Organisation, []string{"organization", "org"}},
	{Via, nil},
	{Scope, nil},
	{Product, nil},
	{By, []string{"objected_by"}},
	{OwnWords, nil},
	{Menu, []string{"menu_id", "ivr_menu"}},
	{Digit, []string{"Digits", "dtmf", "keypress", "toets"}},
	{Result, nil},
	{How, []string{"offered_by"}},
	{Recording, []string{"recording_id", "RecordingSid", "recording_file", "recording_filename"}},
	{Receipt, []string{"ontvangstnummer"}},
	{From, nil},
	{To, nil},
	{Direction, nil},
	{Style, nil},
	{As, nil},
	{Language, []string{"language"}},
}

// Names tells which field a name means. Case, underscores, hyphens, dots and spaces in a name make no difference.
type Names struct {
	means map[string]Field
}

// StandardNames are the names that documentation lists.
func StandardNames() *Names {
	n := &Names{means: map[string]Field{}}
	for _, entry := range names {
		n.means[plain(string(entry.field))] = entry.field
		for _, name := range entry.also {
			n.means[plain(name)] = entry.field
		}
	}
	return n
}

// plain is a name without what makes no difference.
func plain(name string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(strings.ToLower(name))
}

// maxName bounds a name that is added, in bytes.
const maxName = 64

// With are these names and more, by field. It refuses a field that does not exist and a name that means another field
// already; the error names it.
func (n *Names) With(more map[string][]string) (*Names, error) {
	all := &Names{means: map[string]Field{}}
	for name, field := range n.means {
		all.means[name] = field
	}
	for field, also := range more {
		if !slices.ContainsFunc(names, func(known struct {
			field Field
			also  []string
		}) bool {
			return string(known.field) == field
		}) {
			return nil, fmt.Errorf("%s: there is no such field", field)
		}
		for _, name := range also {
			key := plain(name)
			if key == "" || len(name) > maxName {
				return nil, fmt.Errorf("%s: %q: want a name of 1 to %d bytes", field, name, maxName)
			}
			if meant, ok := all.means[key]; ok && meant != Field(field) {
				return nil, fmt.Errorf("%s: %q means %s already", field, name, meant)
			}
			all.means[key] = Field(field)
		}
	}
	return all, nil
}

// Fields are what somebody told; what they left out or left empty is absent.
type Fields map[Field]string

// Add takes in one value under the name that the sender gave it. Names that mean nothing are passed over; a field that is
// told twice, under whatever names, is an error that names it.
func (f Fields) Add(n *Names, name, value string) error {
	field, ok := n.means[plain(name)]
	if !ok {
		return nil
	}
	if _, twice := f[field]; twice {
		return &Trouble{Code: Wrong, Reason: ReasonTwice, Field: string(field), Sentence: fmt.Sprintf("%s is told twice", field)}
	}
	f[field] = value
	return nil
}

// number is a field that holds a telephone number. A plus that was not escaped in a query arrives as a space.
func (f Fields) number(field Field) string {
	value := f[field]
	if rest, ok := strings.CutPrefix(value, " "); ok && rest != "" && rest[0] >= '1' && rest[0] <= '9' {
		return "+" + rest
	}
	return value
}

// theirs is the field and the number of the person who was called or who calls back: what is said to be the callee, else
// the other party of the call.
func (f Fields) theirs() (Field, string, error) {
	from, to := f.number(From), f.number(To)
	switch direction := strings.ToLower(f[Direction]); {
	case f[Callee] != "":
		return Callee, f.number(Callee), nil
	case from == "" && to == "":
		return Callee, "", nil
	case from == "" || to == "":
		if to != "" {
			return To, to, nil
		}
		return From, from, nil
	case strings.HasPrefix(direction, "outbound"):
		return To, to, nil
	case strings.HasPrefix(direction, "inbound"):
		return From, from, nil
	default:
		return Direction, "", &Trouble{
			Code: Wrong, Reason: ReasonAmbiguous, Field: string(Direction),
			Sentence: "from and to are both given: which of them is the person? say so with direction inbound or outbound, or give callee",
		}
	}
}

// Known lists the fields in the order of the documentation, each with the other names that systems give it.
func Known() (fields []Field, also map[Field][]string) {
	also = map[Field][]string{}
	for _, entry := range names {
		fields = append(fields, entry.field)
		also[entry.field] = entry.also
	}
	return fields, also
}
