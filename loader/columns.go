package loader

import (
	"slices"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Kind says what the rows of a file are.
type Kind string

// The kinds.
const (
	Consents      Kind = "consents"
	Withdrawals   Kind = "withdrawals"
	Relationships Kind = "relationships"
	CallRequests  Kind = "call-requests"
	Objections    Kind = "objections"
	Subscribers   Kind = "subscribers"
	ListEntries   Kind = "list-entries"
	CallReports   Kind = "call-reports"
)

// Kinds lists the kinds of file that Import reads.
func Kinds() []Kind {
	return []Kind{Consents, Withdrawals, Relationships, CallRequests, Objections, Subscribers, ListEntries, CallReports}
}

// Column describes a column that a kind of file may have.
type Column struct {
	Name     string   // ours
	Headers  []string // other headers that mean it
	Required bool     // the header must be there and no cell may be empty
}

// Columns describes the columns of a kind, those of an unknown kind as none.
func Columns(kind Kind) []Column {
	var out []Column
	for _, c := range kinds[kind].columns {
		out = append(out, Column{c.name, slices.Clone(c.headers), c.required})
	}
	return out
}

// cell is what a column's cells are.
type cell int

const (
	text     cell = iota
	number        // of a telephone, as telephony.Canonical reads it
	list          // texts between |, comma or semicolon
	word          // of a vocabulary
	words         // of a vocabulary, between |, comma or semicolon
	moment        // see readMoment
	latest        // a moment that of two readings takes the later: it allows less
	date          // without a time
	yesNo         // ja, nee
	duration      // 9 months, 9 maanden
	sha256        // 64 hexadecimal characters
)

// column is a column of a kind of file.
type column struct {
	name     string
	headers  []string
	field    string // its path in the fact; "" where the fact does not hold it
	as       cell
	words    *vocabulary
	required bool
	set      func(*draft, value)
}

// value is a cell that has been read.
type value struct {
	text    string
	list    []string
	time    *timestamp
	yes     bool
	word    int32
	words   []int32
	request string // the canonical number
}

// kind is a kind of file: its columns, and what a row becomes.
type kind struct {
	begin   func() *draft
	fact    func(*draft) *belpoortv1.Fact
	field   string // the path of the fact's own message
	columns []column
}

// draft is a row on its way to a fact. It has the message of its kind.
type draft struct {
	callee, id   string
	consent      *belpoortv1.Consent
	withdrawal   *belpoortv1.Withdrawal
	relationship *belpoortv1.Relationship
	callRequest  *belpoortv1.CallRequest
	objection    *belpoortv1.Objection
	subscriber   *belpoortv1.Subscriber
	listEntry    *belpoortv1.ListEntry
	callReport   *belpoortv1.CallReport
}

// Headers are compared without case, and without what stands between their parts: "Toestemming op" is "toestemming_op".
// A column that stands for a person's duty to prove something has no default: without it the file is refused.

var calleeColumn = column{
	name: "callee", as: number, required: true,
	headers: []string{
		"telefoonnummer", "telefoon", "telefoon_nummer", "tel", "telnr", "nummer", "mobiel", "mobiel_nummer", "06_nummer",
		"phone", "phone_number", "telephone", "telephone_number", "number", "mobile", "msisdn",
	},
	set: func(d *draft, v value) { d.callee = v.request },
}

// The source's own id of the record makes the request id; a changed record under an old id is then refused.
var recordIDColumn = column{
	name: "record_id", as: text, headers: []string{"request_id", "record_nummer", "recordnummer", "regel_id"},
	set: func(d *draft, v value) { d.id = v.text },
}

var shortRecordIDColumn = column{
	name: "record_id", as: text, headers: append([]string{"id", "kenmerk"}, recordIDColumn.headers...), set: recordIDColumn.set,
}

var organisationHeaders = []string{"organisatie", "organization", "adverteerder", "advertiser"}
