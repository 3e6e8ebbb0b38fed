package permit

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer    = "belpoort"
	tokenType = "permit+jwt"
)

// claims are a permit on the wire. They meet jwt.Claims; which of them bind when is decided in this room.
type claims struct {
	Issuer       string `json:"iss"`
	DecisionID   string `json:"jti"`
	Callee       string `json:"sub"`
	CallerID     string `json:"cid,omitempty"`
	Campaign     string `json:"cmp"`
	Organisation string `json:"org"`
	Issued       date   `json:"iat"`
	NotBefore    date   `json:"nbf"`
	DialUntil    date   `json:"exp"`
	ReportUntil  date   `json:"rep"`
}

func claimsOf(p *Permit) *claims {
	return &claims{
		Issuer: issuer, DecisionID: hex.EncodeToString(p.DecisionID[:]), Callee: p.Callee.String(), CallerID: p.CallerID,
		Campaign: p.Campaign, Organisation: p.Organisation, Issued: dateOf(p.Issued), NotBefore: dateOf(p.Issued.Add(-behind)),
		DialUntil: dateOf(p.DialUntil), ReportUntil: dateOf(p.ReportUntil),
	}
}

// headerOf is the beginning of every token of a key, up to the point.
func headerOf(kid string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"`+kid+`","typ":"`+tokenType+`"}`)) + "."
}

// appendTo appends the claims as the library would write them. Its way, on the path of every ALLOW, more than doubles the
// time of Sign. Nothing in a permit that passed its check needs escaping.
func (c *claims) appendTo(token []byte) []byte {
	text := make([]byte, 0, 512)
	for _, field := range [...]struct{ name, value string }{
		{`{"iss":"`, c.Issuer}, {`","jti":"`, c.DecisionID}, {`","sub":"`, c.Callee}, {`","cid":"`, c.CallerID},
		{`","cmp":"`, c.Campaign}, {`","org":"`, c.Organisation},
	} {
		if field.value != "" {
			text = append(append(text, field.name...), field.value...)
		}
	}
	text = c.Issued.appendTo(append(text, `","iat":`...))
	text = c.NotBefore.appendTo(append(text, `,"nbf":`...))
	text = c.DialUntil.appendTo(append(text, `,"exp":`...))
	text = c.ReportUntil.appendTo(append(text, `,"rep":`...))
	return base64.RawURLEncoding.AppendEncode(token, append(text, '}'))
}

// permit reads the claims. What Sign would not have made is Malformed, whoever signed it.
func (c *claims) permit() (Permit, error) {
	p := Permit{
		CallerID: c.CallerID, Campaign: c.Campaign, Organisation: c.Organisation,
		Issued: c.Issued.time(), DialUntil: c.DialUntil.time(), ReportUntil: c.ReportUntil.time(),
	}
	if !fromHex(p.DecisionID[:], c.DecisionID) || !fromHex(p.Callee[:], c.Callee) || p.check() != nil {
		return Permit{}, Malformed
	}
	if *c != *claimsOf(&p) {
		return Permit{}, Malformed
	}
	return p, nil
}

func fromHex(out []byte, s string) bool {
	if len(s) != hex.EncodedLen(len(out)) {
		return false
	}
	_, err := hex.Decode(out, []byte(s))
	return err == nil
}

func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Callee, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.Issued.numeric(), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore.numeric(), nil }
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.DialUntil.numeric(), nil }

// date is a NumericDate in milliseconds since 1970. jwt.NumericDate cuts to whole seconds, which is half of a permit's
// time to dial, and passes through a float.
type date int64

// dateOf cuts to the millisecond below: a permit never ends later than it was given.
func dateOf(t time.Time) date { return date(t.UnixMilli()) }

func milliseconds(d time.Duration) date { return date(d.Milliseconds()) }

func (d date) time() time.Time { return time.UnixMilli(int64(d)).UTC() }

func (d date) numeric() *jwt.NumericDate { return &jwt.NumericDate{Time: d.time()} }

func (d date) MarshalJSON() ([]byte, error) { return d.appendTo(nil), nil }

func (d date) appendTo(out []byte) []byte {
	out = strconv.AppendInt(out, int64(d/1000), 10)
	if rest := int(d % 1000); rest != 0 {
		out = append(out, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
	return out
}

var errDate = errors.New("want seconds since 1970 with at most three decimals")

// UnmarshalJSON reads what MarshalJSON writes, and fewer decimals.
func (d *date) UnmarshalJSON(text []byte) error {
	whole, decimals, point := strings.Cut(string(text), ".")
	if point && (decimals == "" || len(decimals) > 3) || len(whole) > 11 {
		return errDate
	}
	value, err := strconv.ParseUint(whole+decimals+"000"[len(decimals):], 10, 63)
	if err != nil {
		return errDate
	}
	*d = date(value)
	return nil
}
