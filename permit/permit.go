// Package permit makes and checks permits: what an ALLOW carries to the dialer, and what a report brings back.
//
// A permit is a JWT [RFC 7519] signed with Ed25519 (alg EdDSA, typ permit+jwt). Its exp is the end of the time to dial,
// at most two seconds after iat, so that a verifier that knows nothing of Belpoort is never too generous. Reports may
// refer to it longer: claim rep says until when they are in time, and ForReport alone looks at it.
//
// The keys lie in one file, a private JWK set [RFC 8037]. Why a file, and not a seed for each day from the deployment's
// key: a rotation must help against a stolen key, and one that the next can be computed from does not. So that nodes
// agree without a copy all the same, the first key may come from the deployment's key; a later one is random, and signs
// only after a lead in which its file is copied to the other nodes. Until then they know it already, and check with it.
//
// The room knows permits, keys and one file. It must not know a callee's number, what a call is allowed by, whether a
// permit was used, or what time it is; only the file is looked at by the machine's clock.
package permit

import (
	"errors"
	"fmt"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	// MaxDial is the longest time to dial that a permit may give.
	MaxDial = 2 * time.Second
	// DefaultReport is how long after Issued reports are in time, unless a policy says otherwise.
	DefaultReport = 24 * time.Hour
	// MaxReport bounds that time.
	MaxReport = 7 * 24 * time.Hour
	// LateReport is how long after ReportUntil a report is still accepted, as late.
	LateReport = 7 * 24 * time.Hour
	// MaxTokenBytes bounds a token, made or read.
	MaxTokenBytes = 1024

	maxName = 64
	// behind is how far a verifier's clock may be behind the signer's. It stands in nbf: a verifier told of a leeway would
	// stretch exp by it too.
	behind = time.Second
)

// Permit is what a permit says. Times are whole milliseconds, in UTC when read from a token.
type Permit struct {
	DecisionID   [16]byte
	Callee       eligibility.CalleeToken
	CallerID     string // E.164; "" when none is shown
	Campaign     string // its id: 1 to 64 lower-case letters, digits and hyphens
	Organisation string // likewise
	// Issued is when the server took up the question. DialUntil - Issued is the valid_for that a dialer adds to the time at
	// which it sent the question, by its own clock.
	Issued    time.Time
	DialUntil time.Time // the call must be placed before this instant
	// ReportUntil is the instant from which reports are late.
	ReportUntil time.Time
}

// Fault tells why a token gives no permit.
type Fault uint8

const (
	// Malformed is no token, too long, or one that does not say what a permit must say.
	Malformed Fault = iota + 1
	// WrongAlgorithm is any algorithm but EdDSA, none included.
	WrongAlgorithm
	// UnknownKey is a key id that the keys do not have.
	UnknownKey
	// BadSignature is a token that its key did not sign as it stands.
	BadSignature
	// OtherIssuer is a token of another issuer.
	OtherIssuer
	// RetiredKey is a permit issued outside the time in which its key signed.
	RetiredKey
	// NotYet is a permit issued after now, by more than a second.
	NotYet
	// Expired is a permit whose time is over: to dial, or to be reported.
	Expired
)

var faults = [...]struct{ code, text string }{
	Malformed:      {"MALFORMED", "this is no permit"},
	WrongAlgorithm: {"WRONG_ALGORITHM", "the permit is not signed with EdDSA"},
	UnknownKey:     {"UNKNOWN_KEY", "the permit is signed with a key that is not known here"},
	BadSignature:   {"BAD_SIGNATURE", "the permit's signature does not fit"},
	OtherIssuer:    {"OTHER_ISSUER", "the permit is not Belpoort's"},
	RetiredKey:     {"RETIRED_KEY", "the permit's key was not in use when the permit says it was issued"},
	NotYet:         {"NOT_YET", "the permit is not valid yet"},
	Expired:        {"EXPIRED", "the permit has expired"},
}

// Code is the fault in one stable word.
func (f Fault) Code() string { return faults[f].code }

func (f Fault) Error() string { return faults[f].text }

// ErrPermit is a permit that cannot be signed; the error around it names the field.
var ErrPermit = errors.New("not a permit")

func (p *Permit) check() error {
	fault := func(field, text string) error { return fmt.Errorf("%w: %s %s", ErrPermit, field, text) }
	switch {
	case p.DecisionID == [16]byte{}:
		return fault("decision_id", "is missing")
	case p.Callee.IsZero():
		return fault("callee", "is missing")
	case p.CallerID != "" && !isE164(p.CallerID):
		return fault("caller_id", "must be E.164")
	case !isName(p.Campaign):
		return fault("campaign", "must be 1 to 64 lower-case letters, digits and hyphens")
	case !isName(p.Organisation):
		return fault("organisation", "must be 1 to 64 lower-case letters, digits and hyphens")
	}
	return p.checkTimes()
}

func (p *Permit) checkTimes() error {
	fault := func(field, text string) error { return fmt.Errorf("%w: %s %s", ErrPermit, field, text) }
	issued, dial, report := dateOf(p.Issued), dateOf(p.DialUntil), dateOf(p.ReportUntil)
	switch {
	case issued < dateOf(earliest) || issued > dateOf(latest):
		return fault("issued", "is no time of this service")
	case dial <= issued || dial-issued > milliseconds(MaxDial):
		return fault("dial_until", fmt.Sprintf("must be after issued, by at most %v", MaxDial))
	case report < dial || report-issued > milliseconds(MaxReport):
		return fault("report_until", fmt.Sprintf("must be at least dial_until, and at most %v after issued", MaxReport))
	}
	return nil
}

// What lies outside is a broken clock or the zero time.
var (
	earliest = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Covers says whether the permit is for a call to this callee under this caller ID: nil, or an error that names the field.
// There are no wildcards.
func (p Permit) Covers(callee eligibility.CalleeToken, callerID string) error {
	switch {
	case callee != p.Callee && !mutantPermitSubjectUnbound:
		return errors.New("callee: the permit is for another one")
	case callerID != p.CallerID:
		return errors.New("caller_id: the permit is for another one")
	}
	return nil
}

func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if b := s[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' {
			return false
		}
	}
	return true
}

// isE164 is the form only; which numbers exist is not known here.
func isE164(s string) bool {
	if len(s) < 3 || len(s) > 16 || s[0] != '+' || s[1] == '0' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
