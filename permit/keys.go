package permit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// lookEvery is how often the key file is looked at.
const lookEvery = time.Second

// ErrNoSigningKey says that no key of the file signs at the time asked for, or that these are public keys only.
var ErrNoSigningKey = errors.New("no key signs permits at this time")

// Keys signs and checks permits. It is safe for concurrent use.
type Keys struct {
	path    string // "" where no file is looked at again
	told    func(error)
	current atomic.Pointer[keySet]
	looked  atomic.Int64 // Unix nanoseconds
	looking sync.Mutex
}

// OpenKeys reads the key file, and makes it when there is none, for its owner only. first is the seed of the key that is
// then made, 32 bytes that all nodes of a deployment derive alike; nil makes a random one, which the other nodes must copy.
//
// The file is read again within a second of a change, by the first use after it. A changed file that is wrong leaves the
// keys as they were; told hears of every later reading, with the error or nil. It may be nil.
func OpenKeys(path string, first []byte, told func(error)) (*Keys, error) {
	if told == nil {
		told = func(error) {}
	}
	set, err := readKeyFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if err = makeKeyFile(path, first); err == nil {
			set, err = readKeyFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("permit keys: %w", err)
	}
	k := &Keys{path: path, told: told}
	k.current.Store(set)
	k.looked.Store(time.Now().UnixNano())
	return k, nil
}

// ReadKeys reads a key file as it is now, and neither makes one nor looks at it again.
func ReadKeys(path string) (*Keys, error) {
	set, err := readKeyFile(path)
	return fixed(set, err)
}

// ReadPublic reads what PublicSet wrote. It refuses a set with a secret in it.
func ReadPublic(data []byte) (*Keys, error) {
	set, err := parseKeys(data)
	if err == nil && set.hasSecret() {
		err = errors.New("holds a secret key; a file of public keys must not")
	}
	return fixed(set, err)
}

func fixed(set *keySet, err error) (*Keys, error) {
	if err != nil {
		return nil, fmt.Errorf("permit keys: %w", err)
	}
	k := &Keys{told: func(error) {}}
	k.current.Store(set)
	return k, nil
}

// Sign makes the token of a permit. Times are cut to the millisecond. Errors: ErrPermit, ErrNoSigningKey.
func (k *Keys) Sign(p Permit) (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	k.lookSometimes()
	key := k.current.Load().signing(p.Issued)
	if key == nil {
		return "", ErrNoSigningKey
	}
	token := claimsOf(&p).appendTo(append(make([]byte, 0, MaxTokenBytes), key.header...))
	signature := ed25519.Sign(key.secret, token)
	return string(base64.RawURLEncoding.AppendEncode(append(token, '.'), signature)), nil
}

// ForDialing gives the permit of a token under which a call may be placed now. Errors are Faults.
//
// It goes by now and the signer's wall clock. A dialer that has asked itself is better served by its own time of asking
// plus DialUntil - Issued.
func (k *Keys) ForDialing(token string, now time.Time) (Permit, error) {
	p, err := k.begun(token, now)
	if err != nil {
		return Permit{}, err
	}
	if !now.Before(p.DialUntil) && !mutantPermitForever {
		return Permit{}, Expired
	}
	return p, nil
}

// ForReport gives the permit of a token that a report refers to; late tells that ReportUntil has come. From LateReport
// after that it is Expired. Errors are Faults.
func (k *Keys) ForReport(token string, now time.Time) (p Permit, late bool, err error) {
	p, err = k.begun(token, now)
	if err != nil {
		return Permit{}, false, err
	}
	if !now.Before(p.ReportUntil.Add(LateReport)) && !mutantPermitForever {
		return Permit{}, false, Expired
	}
	return p, !now.Before(p.ReportUntil), nil
}

func (k *Keys) begun(token string, now time.Time) (Permit, error) {
	p, err := k.Authentic(token)
	if err == nil && now.Before(p.Issued.Add(-behind)) {
		return Permit{}, NotYet
	}
	return p, err
}

// Authentic gives what a token says that one of the keys signed, however long ago: proof of what was issued, never leave
// to dial. Errors are Faults.
func (k *Keys) Authentic(token string) (Permit, error) {
	p, _, err := k.Signer(token)
	return p, err
}

// Signer is Authentic, and tells the id of the key.
func (k *Keys) Signer(token string) (Permit, string, error) {
	if len(token) > MaxTokenBytes || !isCompact(token) {
		return Permit{}, "", Malformed
	}
	k.lookSometimes()
	set := k.current.Load()
	p, id, err := set.read(token)
	if err == UnknownKey {
		k.lookNow()
		if fresh := k.current.Load(); fresh != set {
			return fresh.read(token)
		}
	}
	return p, id, err
}

// isCompact finds what base64 decoders skip, so that one permit has one token.
func isCompact(token string) bool {
	for i := range len(token) {
		b := token[i]
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return true
}

// parser checks form, algorithm and signature. What the claims mean now is checked in this room, because reports go by
// another time than exp.
var parser = jwt.NewParser(parserOptions()...)

func parserOptions() []jwt.ParserOption {
	options := []jwt.ParserOption{jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()}
	if !mutantPermitAnyAlgorithm {
		options = append(options, jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}))
	}
	return options
}

func (s *keySet) read(text string) (Permit, string, error) {
	var c claims
	var key *key
	token, err := parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		if key = s.named(t.Header["kid"]); key == nil {
			return nil, UnknownKey
		}
		if t.Method != jwt.SigningMethodEdDSA && mutantPermitAnyAlgorithm {
			return []byte(key.Key), nil
		}
		return key.Key, nil
	})
	if err != nil {
		return Permit{}, "", faultOf(token, err)
	}
	if token.Header["typ"] != tokenType {
		return Permit{}, "", Malformed
	}
	if c.Issuer != issuer {
		return Permit{}, "", OtherIssuer
	}
	p, err := c.permit()
	if err == nil && !key.signedAt(p.Issued) {
		return Permit{}, "", RetiredKey
	}
	return p, key.ID, err
}

func faultOf(token *jwt.Token, err error) Fault {
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return Malformed
	case errors.Is(err, UnknownKey):
		return UnknownKey
	case token.Header["alg"] != jwt.SigningMethodEdDSA.Alg():
		return WrongAlgorithm
	}
	return BadSignature
}

// PublicKey is one key as others may have it.
type PublicKey struct {
	ID  string // kid: the beginning of the key's thumbprint [RFC 7638]
	Key ed25519.PublicKey
	// From and Until bound the time in which it signed, or will: zero is from ever, and without an end yet.
	From, Until time.Time
}

func (k PublicKey) signedAt(t time.Time) bool {
	return !t.Before(k.From) && (k.Until.IsZero() || t.Before(k.Until))
}

// Public are all keys, the oldest first, one that is yet to sign included.
func (k *Keys) Public() []PublicKey {
	k.lookSometimes()
	set := k.current.Load()
	keys := make([]PublicKey, len(set.keys))
	for i := range set.keys {
		keys[i] = set.keys[i].PublicKey
	}
	return keys
}

// lookSometimes looks at the file when that was last done lookEvery ago, in one of the callers.
func (k *Keys) lookSometimes() {
	if k.path == "" {
		return
	}
	since := time.Now().UnixNano() - k.looked.Load()
	if since >= 0 && since < int64(lookEvery) || !k.looking.TryLock() {
		return
	}
	k.looked.Store(time.Now().UnixNano())
	changed, err := k.readChanged()
	k.looking.Unlock()
	if changed || err != nil {
		k.told(err)
	}
}

// lookNow looks at the file because a token names a key that it may have got since. Its errors are left to lookSometimes,
// or anybody with a bad token could fill a log.
func (k *Keys) lookNow() {
	if k.path == "" {
		return
	}
	k.looking.Lock()
	changed, err := k.readChanged()
	k.looking.Unlock()
	if changed && err == nil {
		k.told(nil)
	}
}

// readChanged puts the file's keys in force if it is another than they were read from.
func (k *Keys) readChanged() (bool, error) {
	info, err := os.Stat(k.path)
	if err != nil {
		return false, err
	}
	if sameFile(info, k.current.Load().stamp) {
		return false, nil
	}
	set, err := readKeyFile(k.path)
	if err == nil {
		k.current.Store(set)
	}
	return true, err
}
