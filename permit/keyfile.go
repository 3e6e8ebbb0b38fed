package permit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	maxKeyFile = 256 << 10
	maxKeys    = 256
	kidBytes   = 8 // of the thumbprint
)

// ErrKeyFile says that a key file is there and must not be used; the error around it tells the fault.
var ErrKeyFile = errors.New("refused")

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrKeyFile, fmt.Errorf(format, args...))
}

// keySet is what one reading of a file gave; the oldest key first.
type keySet struct {
	stamp os.FileInfo
	keys  []key
	byID  map[string]*key
}

type key struct {
	PublicKey
	secret ed25519.PrivateKey // nil for one that signs no more
	header string             // how its tokens begin
}

// named finds a token's key; id is its header, of whatever type.
func (s *keySet) named(id any) *key {
	name, _ := id.(string)
	if mutantPermitKeyIgnored {
		return s.newest()
	}
	return s.byID[name]
}

func (s *keySet) newest() *key { return &s.keys[len(s.keys)-1] }

func (k *key) signsOn() bool { return k.secret != nil && k.Until.IsZero() }

// signing is the newest key that signs at t, or nil.
func (s *keySet) signing(t time.Time) *key {
	for i := len(s.keys) - 1; i >= 0; i-- {
		if k := &s.keys[i]; k.secret != nil && k.signedAt(t) {
			return k
		}
	}
	return nil
}

func (s *keySet) hasSecret() bool {
	return slices.ContainsFunc(s.keys, func(k key) bool { return k.secret != nil })
}

// jwk is a key in a file: an OKP key [RFC 8037], with two members of ours.
type jwk struct {
	Type       string    `json:"kty"`
	Curve      string    `json:"crv"`
	Use        string    `json:"use"`
	Algorithm  string    `json:"alg"`
	ID         string    `json:"kid"`
	Public     string    `json:"x"`
	Secret     string    `json:"d,omitempty"`
	SignsFrom  time.Time `json:"signs_from,omitzero"`
	SignsUntil time.Time `json:"signs_until,omitzero"`
}

type jwkSet struct {
	Keys []jwk `json:"keys"`
}

var base64url = base64.RawURLEncoding.Strict()

func newKey(seed []byte, from time.Time) key {
	secret := ed25519.NewKeyFromSeed(seed)
	public := secret.Public().(ed25519.PublicKey)
	return key{PublicKey: PublicKey{ID: idOf(public), Key: public, From: from}, secret: secret}
}

// idOf is the beginning of the thumbprint [RFC 7638], so that a key's name cannot be another's.
func idOf(public ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64url.EncodeToString(public) + `"}`))
	return base64url.EncodeToString(sum[:kidBytes])
}

// PublicSet writes keys as a JWK set [RFC 7517], for others to check permits with.
func PublicSet(keys []PublicKey) ([]byte, error) {
	set := make([]key, len(keys))
	for i, k := range keys {
		set[i].PublicKey = k
	}
	return marshalKeys(set)
}

func marshalKeys(keys []key) ([]byte, error) {
	set := jwkSet{make([]jwk, len(keys))}
	for i, k := range keys {
		set.Keys[i] = jwk{
			Type: "OKP", Curve: "Ed25519", Use: "sig", Algorithm: "EdDSA", ID: k.ID,
			Public: base64url.EncodeToString(k.Key), SignsFrom: k.From, SignsUntil: k.Until,
		}
		if k.secret != nil {
			set.Keys[i].Secret = base64url.EncodeToString(k.secret.Seed())
		}
	}
	data, err := json.MarshalIndent(set, "", "  ")
	return append(data, '\n'), err
}

// parseKeys reads a set of keys. Errors name the entry and its member, never a value.
func parseKeys(data []byte) (*keySet, error) {
	var file jwkSet
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, refused("no set of keys: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, refused("something follows the set of keys")
	}
	if len(file.Keys) == 0 || len(file.Keys) > maxKeys {
		return nil, refused("holds %d keys, want 1 to %d", len(file.Keys), maxKeys)
	}
	set := &keySet{byID: map[string]*key{}}
	for i, entry := range file.Keys {
		k, err := entry.key()
		if err != nil {
			return nil, refused("keys[%d].%w", i, err)
		}
		set.keys = append(set.keys, k)
	}
	slices.SortStableFunc(set.keys, func(a, b key) int { return a.From.Compare(b.From) })
	for i := range set.keys {
		k := &set.keys[i]
		if set.byID[k.ID] != nil {
			return nil, refused("key %s stands here twice", k.ID)
		}
		set.byID[k.ID] = k
	}
	return set, nil
}

func (e jwk) key() (key, error) {
	public, err := base64url.DecodeString(e.Public)
	k := key{
		PublicKey: PublicKey{ID: e.ID, Key: public, From: e.SignsFrom, Until: e.SignsUntil}, header: headerOf(e.ID),
	}
	switch {
	case e.Type != "OKP":
		return key{}, errors.New("kty: must be OKP")
	case e.Curve != "Ed25519":
		return key{}, errors.New("crv: must be Ed25519")
	case e.Use != "sig":
		return key{}, errors.New("use: must be sig")
	case e.Algorithm != "EdDSA":
		return key{}, errors.New("alg: must be EdDSA")
	case err != nil || len(public) != ed25519.PublicKeySize:
		return key{}, errors.New("x: must be 32 bytes in base64url")
	case e.ID != idOf(public):
		return key{}, errors.New("kid: is not that of x")
	case !k.Until.IsZero() && !k.Until.After(k.From):
		return key{}, errors.New("signs_until: must be after signs_from")
	case e.Secret == "":
		return k, nil
	}
	seed, err := base64url.DecodeString(e.Secret)
	if err != nil || len(seed) != ed25519.SeedSize {
		return key{}, errors.New("d: must be 32 bytes in base64url")
	}
	k.secret = ed25519.NewKeyFromSeed(seed)
	if subtle.ConstantTimeCompare(k.secret[ed25519.SeedSize:], public) != 1 {
		return key{}, errors.New("d: is not the secret of x")
	}
	return k, nil
}

// readKeyFile reads a file that can sign. Its errors name it.
func readKeyFile(path string) (*keySet, error) {
	data, info, err := readOwn(path)
	if err != nil {
		return nil, err
	}
	set, err := parseKeys(data)
	clear(data)
	switch {
	case err != nil:
	case info.Mode().Perm()&0o077 != 0:
		err = refused("has mode %04o; others must have no access to it (0600)", info.Mode().Perm())
	case !set.newest().signsOn():
		err = refused("its newest key must have a secret (d) and no signs_until")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	set.stamp = info
	return set, nil
}

func readOwn(path string) ([]byte, os.FileInfo, error) {
	file, err := openPlain(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s: %w", path, refused("is no plain file"))
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = fmt.Errorf("%s: %w", path, refused("has more than %d bytes", maxKeyFile))
	}
	return data, info, err
}

func sameFile(a, b os.FileInfo) bool {
	return a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && os.SameFile(a, b)
}

// makeKeyFile writes a file with one key, from seed or at random, unless one is there by then.
func makeKeyFile(path string, seed []byte) error {
	if seed == nil {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		defer clear(seed)
	}
	if len(seed) != ed25519.SeedSize {
		return fmt.Errorf("the first key's seed has %d bytes, want %d", len(seed), ed25519.SeedSize)
	}
	data, err := marshalKeys([]key{newKey(seed, time.Time{})})
	if err != nil {
		return err
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	return place(path, data, func(draft string) error {
		// A link, unlike a rename, never replaces a file.
		if err := os.Link(draft, path); !errors.Is(err, os.ErrExist) {
			return err
		}
		return nil
	})
}
