package permit

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/belpoort/belpoort/eligibility"
)

var noon = time.Date(2026, 11, 18, 12, 0, 0, 123e6, time.UTC)

func samplePermit() Permit {
	return Permit{
		DecisionID: [16]byte{1, 2, 15: 3}, Callee: eligibility.CalleeToken{0xb1, 15: 0xad}, CallerID: "+31501234567",
		Campaign: "voltwerk-demo", Organisation: "voltwerk",
		Issued: noon, DialUntil: noon.Add(2 * time.Second), ReportUntil: noon.Add(DefaultReport),
	}
}

func seedOf(first byte) []byte {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = first
	return seed
}

func keyPath(t testing.TB) string { return filepath.Join(t.TempDir(), "permit-keys.json") }

func opened(t testing.TB, path string, first []byte) *Keys {
	t.Helper()
	k, err := OpenKeys(path, first, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t testing.TB, k *Keys, p Permit) string {
	t.Helper()
	token, err := k.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// forge signs anything with the newest key, as the library does it.
func forge(t testing.TB, k *Keys, method jwt.SigningMethod, with any, header map[string]any, c jwt.Claims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	token.Header["typ"], token.Header["kid"] = tokenType, k.current.Load().newest().ID
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(with)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func wantFault(t *testing.T, k *Keys, what, token string, at time.Time, want Fault) {
	t.Helper()
	p, err := k.ForDialing(token, at)
	if !errors.Is(err, want) || p != (Permit{}) {
		t.Errorf("%s: to dial: %+v, %v, want %v", what, p, err, want)
	}
	p, late, err := k.ForReport(token, at)
	if !errors.Is(err, want) || p != (Permit{}) || late {
		t.Errorf("%s: to report: %+v, %v, %v, want %v", what, p, late, err, want)
	}
}

func TestWhatIsSignedIsRead(t *testing.T) {
	k := opened(t, keyPath(t), nil)
	for _, change := range []func(*Permit){
		func(*Permit) {},
		func(p *Permit) { p.CallerID = "" },
		func(p *Permit) { p.DialUntil = noon.Add(time.Millisecond) },
		func(p *Permit) { p.ReportUntil = p.DialUntil },
		func(p *Permit) { p.ReportUntil = noon.Add(MaxReport) },
		func(p *Permit) {
			p.Campaign, p.Organisation = strings.Repeat("c", 64), strings.Repeat("o", 64)
			p.CallerID = "+" + strings.Repeat("9", 15)
		},
	} {
		p := samplePermit()
		change(&p)
		token := signed(t, k, p)
		if len(token) > MaxTokenBytes {
			t.Errorf("the token has %d bytes", len(token))
		}
		if library := forge(t, k, jwt.SigningMethodEdDSA, k.current.Load().newest().secret, nil, claimsOf(&p)); token != library {
			t.Errorf("the token is\n%s, the library makes\n%s", token, library)
		}
		if got, err := k.ForDialing(token, noon); err != nil || got != p {
			t.Errorf("to dial: %+v, %v, want %+v", got, err, p)
		}
		if got, late, err := k.ForReport(token, noon); err != nil || late || got != p {
			t.Errorf("to report: %+v, %v, %v, want %+v", got, late, err, p)
		}
	}
}

// The claims by their names: other people's verifiers and yesterday's permits depend on them.
func TestWhatATokenHolds(t *testing.T) {
	k := opened(t, keyPath(t), seedOf(1))
	parts := strings.Split(signed(t, k, samplePermit()), ".")
	for i, want := range []string{
		`{"alg":"EdDSA","kid":"` + k.Public()[0].ID + `","typ":"permit+jwt"}`,
		`{"iss":"belpoort","jti":"01020000000000000000000000000003","sub":"b10000000000000000000000000000ad","cid":"+31501234567",` +
			`"cmp":"voltwerk-demo","org":"voltwerk","iat":1795003200.123,"nbf":1795003199.123,"exp":1795003202.123,"rep":1795089600.123}`,
	} {
		if got, err := base64.RawURLEncoding.DecodeString(parts[i]); err != nil || string(got) != want {
			t.Errorf("%s, %v\nwant %s", got, err, want)
		}
	}
}

func TestAPermitEnds(t *testing.T) {
	k := opened(t, keyPath(t), nil)
	p := samplePermit()
	p.DialUntil = noon.Add(1500*time.Millisecond + 999*time.Microsecond) // cut, never rounded up
	token := signed(t, k, p)
	end := noon.Add(1500 * time.Millisecond)
	for _, c := range []struct {
		at           time.Time
		dial, report error
		late         bool
	}{
		{noon.Add(-behind - 1), NotYet, NotYet, false},
		{noon.Add(-behind), nil, nil, false},
		{end.Add(-1), nil, nil, false},
		{end, Expired, nil, false},
		{p.ReportUntil.Add(-1), Expired, nil, false},
		{p.ReportUntil, Expired, nil, true},
		{p.ReportUntil.Add(LateReport - 1), Expired, nil, true},
		{p.ReportUntil.Add(LateReport), Expired, Expired, false},
		{noon.AddDate(50, 0, 0), Expired, Expired, false},
	} {
		if _, err := k.ForDialing(token, c.at); !errors.Is(err, c.dial) || c.dial == nil && err != nil {
			t.Errorf("%v: to dial: %v, want %v", c.at, err, c.dial)
		}
		if _, late, err := k.ForReport(token, c.at); !errors.Is(err, c.report) || c.report == nil && err != nil || late != c.late {
			t.Errorf("%v: to report: late %v, %v, want %v, %v", c.at, late, err, c.late, c.report)
		}
		if got, err := k.Authentic(token); err != nil || got.DecisionID != p.DecisionID {
			t.Errorf("%v: %v", c.at, err)
		}
	}
}

// A verifier that knows only the standard, with no leeway, allows what ForDialing allows and nothing more.
func TestAStandardVerifierAgrees(t *testing.T) {
	k := opened(t, keyPath(t), nil)
	token, public := signed(t, k, samplePermit()), k.Public()[0].Key
	for _, after := range []time.Duration{-behind - 1, -behind, 0, 1999 * time.Millisecond, 2 * time.Second, time.Hour} {
		at := noon.Add(after)
		// The library's own claims cut exp to the second below, never later than ours, and nbf too.
		for name, claims := range map[string]jwt.Claims{"ours": &claims{}, "registered": &jwt.RegisteredClaims{}} {
			_, standard := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return public, nil },
				jwt.WithTimeFunc(func() time.Time { return at }), jwt.WithIssuer("belpoort"), jwt.WithExpirationRequired())
			_, own := k.ForDialing(token, at)
			if standard == nil && own != nil && after >= 0 {
				t.Errorf("%s, %v after: a standard verifier accepts what is refused here: %v", name, after, own)
			}
			if name == "ours" && standard != nil && own == nil {
				t.Errorf("%v after: a standard verifier refuses: %v", after, standard)
			}
		}
	}
}

// The classic confusions: no signature, and the public key, which anybody has, as the secret of a MAC.
func TestOnlyEdDSAIsAccepted(t *testing.T) {
	k := opened(t, keyPath(t), nil)
	p := samplePermit()
	public := []byte(k.Public()[0].Key)
	for name, token := range map[string]string{
		"none":     forge(t, k, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claimsOf(&p)),
		"HS256":    forge(t, k, jwt.SigningMethodHS256, public, nil, claimsOf(&p)),
		"HS512":    forge(t, k, jwt.SigningMethodHS512, public, nil, claimsOf(&p)),
		"eddsa":    forge(t, k, jwt.SigningMethodEdDSA, k.current.Load().newest().secret, map[string]any{"alg": "eddsa"}, claimsOf(&p)),
		"absent":   forge(t, k, jwt.SigningMethodEdDSA, k.current.Load().newest().secret, map[string]any{"alg": nil}, claimsOf(&p)),
		"a number": forge(t, k, jwt.SigningMethodEdDSA, k.current.Load().newest().secret, map[string]any{"alg": 1}, claimsOf(&p)),
	} {
		wantFault(t, k, name, token, noon, WrongAlgorithm)
	}
}

func TestForgedTokens(t *testing.T) {
	k, stranger := opened(t, keyPath(t), nil), opened(t, keyPath(t), nil)
	p := samplePermit()
	token := signed(t, k, p)
	head, body, _ := strings.Cut(token, ".")
	body, signature, _ := strings.Cut(body, ".")
	other := p
	other.Callee[3]++
	_, otherBody, _ := strings.Cut(signed(t, k, other), ".")
	otherBody, _, _ = strings.Cut(otherBody, ".")
	secret := k.current.Load().newest().secret
	ours, theirs := k.Public()[0].ID, stranger.Public()[0].ID
	for _, c := range []struct {
		what, token string
		want        Fault
	}{
		{"another callee under this signature", head + "." + otherBody + "." + signature, BadSignature},
		{"no signature", head + "." + body + ".", BadSignature},
		{"half a signature", head + "." + body + "." + signature[:44], BadSignature},
		{"another key under our id", forge(t, stranger, jwt.SigningMethodEdDSA, stranger.current.Load().newest().secret, map[string]any{"kid": ours}, claimsOf(&p)), BadSignature},
		{"our key under another id", forge(t, k, jwt.SigningMethodEdDSA, secret, map[string]any{"kid": theirs}, claimsOf(&p)), UnknownKey},
		{"a stranger's", signed(t, stranger, p), UnknownKey},
		{"no key id", forge(t, k, jwt.SigningMethodEdDSA, secret, map[string]any{"kid": nil}, claimsOf(&p)), UnknownKey},
		{"a list of key ids", forge(t, k, jwt.SigningMethodEdDSA, secret, map[string]any{"kid": []string{ours}}, claimsOf(&p)), UnknownKey},
		{"another type", forge(t, k, jwt.SigningMethodEdDSA, secret, map[string]any{"typ": "JWT"}, claimsOf(&p)), Malformed},
		{"null", "bnVsbA.bnVsbA.", WrongAlgorithm},
	} {
		wantFault(t, k, c.what, c.token, noon, c.want)
	}
}

// One permit has one token: what decoders skip or read leniently is refused.
func TestOtherSpellingsAreRefused(t *testing.T) {
	k := opened(t, keyPath(t), nil)
	token := signed(t, k, samplePermit())
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", token[len(token)-1])
	loose := token[:len(token)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1])
	if _, err := base64.RawURLEncoding.DecodeString(loose[strings.LastIndexByte(loose, '.')+1:]); err != nil {
		t.Fatalf("the spelling is none: %v", err)
	}
	for what, text := range map[string]string{
		"nothing": "", "a word": "permit", "two parts": "a.b", "four parts": token + ".", "a blank": token + " ", "padding": token + "=",
		"a line end": token[:len(token)-4] + "\n" + token[len(token)-4:], "a carriage return": token + "\r",
		"loose last bits": loose, "too long": token + strings.Repeat("A", MaxTokenBytes), "a quote": `"` + token, "bytes": "\xff\x00." + token,
	} {
		wantFault(t, k, what, text, noon, Malformed)
	}
}

func TestSignedNonsenseIsRefused(t *testing.T) {
	k := opened(t, keyPath(t), nil)
	secret := k.current.Load().newest().secret
	forged := func(name string, value any) string {
		p := samplePermit()
		text, err := json.Marshal(claimsOf(&p))
		m := jwt.MapClaims{}
		if err := errors.Join(err, json.Unmarshal(text, &m)); err != nil {
			t.Fatal(err)
		}
		m[name] = value
		if value == nil {
			delete(m, name)
		}
		return forge(t, k, jwt.SigningMethodEdDSA, secret, nil, m)
	}
	if _, err := k.ForDialing(forged("unknown", "claim"), noon); err != nil {
		t.Errorf("a claim more: %v", err)
	}
	wantFault(t, k, "another issuer", forged("iss", "belport"), noon, OtherIssuer)
	wantFault(t, k, "no issuer", forged("iss", nil), noon, OtherIssuer)
	seconds := float64(noon.UnixMilli()) / 1000
	for name, values := range map[string][]any{
		"jti": {nil, "", "01", strings.Repeat("0", 32), strings.Repeat("g", 32), strings.Repeat("AB", 16), 7},
		"sub": {nil, "", strings.Repeat("0", 32), "+31612345678", strings.Repeat("AB", 16)},
		"cid": {"31501234567", "+", "+0123456", "+3150123456789012", "anonymous"},
		"cmp": {nil, "", "Volt", strings.Repeat("c", 65), "a b"},
		"org": {nil, "", "Volt", strings.Repeat("c", 65), "a b"},
		"iat": {nil, 0, -1, seconds + 3, 1e15, "1795003200.123", true},
		"nbf": {nil, seconds, seconds - 2},
		"exp": {nil, 0, seconds, seconds - 1, seconds + 2.001, seconds + 3600, "1e10"},
		"rep": {nil, seconds + 1.999, seconds + 7*86400 + 0.001},
	} {
		for _, value := range values {
			wantFault(t, k, name, forged(name, value), noon, Malformed)
		}
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	k := opened(t, keyPath(t), nil)
	for field, changes := range map[string][]func(*Permit){
		"decision_id":  {func(p *Permit) { p.DecisionID = [16]byte{} }},
		"callee":       {func(p *Permit) { p.Callee = eligibility.CalleeToken{} }},
		"caller_id":    {func(p *Permit) { p.CallerID = "020-1234567" }},
		"campaign":     {func(p *Permit) { p.Campaign = "" }, func(p *Permit) { p.Campaign = "a b" }},
		"organisation": {func(p *Permit) { p.Organisation = "" }, func(p *Permit) { p.Organisation = strings.Repeat("o", 65) }},
		"issued":       {func(p *Permit) { p.Issued = time.Time{} }, func(p *Permit) { p.Issued = noon.AddDate(300, 0, 0) }},
		"dial_until": {
			func(p *Permit) { p.DialUntil = time.Time{} }, func(p *Permit) { p.DialUntil = p.Issued },
			func(p *Permit) { p.DialUntil = p.Issued.Add(999 * time.Microsecond) },
			func(p *Permit) { p.DialUntil = p.Issued.Add(MaxDial + time.Millisecond) },
		},
		"report_until": {
			func(p *Permit) { p.ReportUntil = time.Time{} }, func(p *Permit) { p.ReportUntil = p.Issued.Add(time.Second) },
			func(p *Permit) { p.ReportUntil = p.Issued.Add(MaxReport + time.Millisecond) },
		},
	} {
		for _, change := range changes {
			p := samplePermit()
			change(&p)
			if token, err := k.Sign(p); !errors.Is(err, ErrPermit) || !strings.Contains(err.Error(), field) || token != "" {
				t.Errorf("%s: %q, %v", field, token, err)
			}
		}
	}
}

func TestAPermitCoversItsCallOnly(t *testing.T) {
	k := opened(t, keyPath(t), nil)
	want := samplePermit()
	p, err := k.ForDialing(signed(t, k, want), noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Covers(want.Callee, want.CallerID); err != nil {
		t.Error(err)
	}
	other := want.Callee
	other[15] ^= 1
	for field, err := range map[string]error{
		"callee:": p.Covers(other, want.CallerID), "callee: ": p.Covers(eligibility.CalleeToken{}, want.CallerID),
		"caller_id:": p.Covers(want.Callee, "+31501234568"), "caller_id: ": p.Covers(want.Callee, ""),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s %v", field, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	path := filepath.Join(f.TempDir(), "keys")
	k := opened(f, path, seedOf(1))
	p := samplePermit()
	token := signed(f, k, p)
	f.Add(token)
	f.Add(token[:len(token)-1])
	f.Add("bnVsbA.bnVsbA.")
	f.Add(forge(f, k, jwt.SigningMethodHS256, []byte(k.Public()[0].Key), nil, claimsOf(&p)))
	f.Add(forge(f, k, jwt.SigningMethodEdDSA, k.current.Load().newest().secret, nil, jwt.MapClaims{"iat": 1e300, "exp": "x"}))
	fixedKeys, err := ReadKeys(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := fixedKeys.Authentic(text)
		if err == nil && (text != token || got != p) {
			t.Errorf("another token was accepted: %q gives %+v", text, got)
		}
		if fault, is := errors.AsType[Fault](err); err != nil && (!is || fault.Code() == "") {
			t.Errorf("%q: %v is no fault", text, err)
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{"1795003200.123", "0", "1.5", "1e3", "-1", "99999999999.999", ".5", "1."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d, again date
		if json.Unmarshal([]byte(text), &d) != nil {
			return
		}
		written, err := json.Marshal(d)
		if err != nil || json.Unmarshal(written, &again) != nil || again != d || d < 0 {
			t.Errorf("%q is %d, written %s, read %d, %v", text, d, written, again, err)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	k, p := opened(b, keyPath(b), nil), samplePermit()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Sign(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForDialing(b *testing.B) {
	k := opened(b, keyPath(b), nil)
	token := signed(b, k, samplePermit())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.ForDialing(token, noon); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEd25519 is the part of Sign that no format could save.
func BenchmarkEd25519(b *testing.B) {
	secret := ed25519.NewKeyFromSeed(seedOf(1))
	text := make([]byte, 400)
	b.Run("sign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ed25519.Sign(secret, text)
		}
	})
	signature := ed25519.Sign(secret, text)
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ed25519.Verify(secret.Public().(ed25519.PublicKey), text, signature)
		}
	})
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
