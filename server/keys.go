package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/belpoort/belpoort/record"
)

// keyPrefix marks a key, so that one is recognised where it should not be.
const keyPrefix = "bpk_"

// maxKeyBytes bounds a presented key; maxKeyFile bounds the file, in bytes.
const (
	maxKeyBytes = 256
	maxKeyFile  = 1 << 20
)

// lookEvery is how often the key file and certificate files are looked at.
const lookEvery = time.Second

// NewKey makes an API key: what the client keeps, and what the key file holds, 64 hexadecimal characters.
func NewKey() (plain, sum string) {
	var secret [32]byte
	rand.Read(secret[:])
	plain = keyPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	return plain, KeySum(plain)
}

// KeySum is what the key file holds of a key.
func KeySum(plain string) string {
	sum := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(sum[:])
}

// Keys are the API keys of a file, read again when it changes. A changed file that is wrong is reported and the keys that
// were in force stay so.
type Keys struct {
	path    string
	report  func(error)
	current atomic.Pointer[keySet]
	looked  atomic.Int64 // Unix nanoseconds
	looking atomic.Bool
}

type keySet struct {
	stamp   fileStamp
	clients map[[8]byte][]hashedClient // by the beginning of the hash
}

type hashedClient struct {
	sum [32]byte
	client
}

// fileStamp tells whether a file was changed or replaced.
type fileStamp struct {
	info os.FileInfo
}

func stampOf(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	return fileStamp{info}, err
}

func (s fileStamp) same(o fileStamp) bool {
	return s.info.ModTime().Equal(o.info.ModTime()) && s.info.Size() == o.info.Size() && os.SameFile(s.info, o.info)
}

// OpenKeys reads a key file. Errors name the file, the line and the key. report is told of every later reading, with the
// error that kept the old keys in force or nil; it may be nil.
func OpenKeys(path string, report func(error)) (*Keys, error) {
	if report == nil {
		report = func(error) {}
	}
	k := &Keys{path: path, report: report}
	set, err := readKeys(path)
	if err != nil {
		return nil, err
	}
	k.current.Store(set)
	k.looked.Store(time.Now().UnixNano())
	return k, nil
}

func readKeys(path string) (*keySet, error) {
	stamp, err := stampOf(path)
	if err != nil {
		return nil, err
	}
	if stamp.info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxKeyFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	clients, err := parseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &keySet{stamp, clients}, nil
}

// keyFile is the file's form.
type keyFile struct {
	Keys []keyEntry `yaml:"keys"`
}

type keyEntry struct {
	ID            string   `yaml:"id"`
	SHA256        string   `yaml:"sha256"`
	Roles         []string `yaml:"roles"`
	Organisations []string `yaml:"organisations"`
	Rate          int      `yaml:"rate"` // checks a second; 0 or absent: no limit of its own
}

func parseKeys(data []byte) (map[[8]byte][]hashedClient, error) {
	var file keyFile
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	lines := keyLines(data)
	clients := map[[8]byte][]hashedClient{}
	ids, sums := map[string]bool{}, map[[32]byte]bool{}
	for i, entry := range file.Keys {
		c, err := entry.client()
		if err == nil && ids[c.id] {
			err = fmt.Errorf("id: %q stands here twice", c.id)
		}
		if err == nil && sums[c.sum] {
			err = errors.New("sha256: stands here twice")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: keys[%d].%w", lines[i], i, err)
		}
		ids[c.id], sums[c.sum] = true, true
		head := [8]byte(c.sum[:8])
		clients[head] = append(clients[head], c)
	}
	return clients, nil
}

// keyLines finds the lines on which the entries begin; the file has been decoded once, so its form is right.
func keyLines(data []byte) []int {
	var root yaml.Node
	var lines []int
	if yaml.Unmarshal(data, &root) != nil || len(root.Content) == 0 {
		return nil
	}
	top := root.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		for _, entry := range top.Content[i+1].Content {
			lines = append(lines, entry.Line)
		}
	}
	return lines
}

func (e keyEntry) client() (hashedClient, error) {
	c := hashedClient{client: client{id: e.ID, organisations: map[string]bool{}}}
	if !record.IsName(e.ID) {
		return c, errors.New("id: must be 1 to 64 lower-case letters, digits and hyphens")
	}
	sum, err := hex.DecodeString(e.SHA256)
	if err != nil || len(sum) != len(c.sum) {
		return c, errors.New("sha256: must be the 64 hexadecimal characters of the key's SHA-256")
	}
	c.sum = [32]byte(sum)
	if e.Rate < 0 || e.Rate > maxRate {
		return c, fmt.Errorf("rate: %d checks a second, want 1 to %d, or none", e.Rate, maxRate)
	}
	c.rate = e.Rate
	if len(e.Roles) == 0 {
		return c, errors.New("roles: none is given, so the key could do nothing")
	}
	for _, name := range e.Roles {
		r, ok := roleNames[name]
		if !ok {
			return c, fmt.Errorf("roles: unknown role %q, want one of %s", name, roleList())
		}
		c.roles |= r
	}
	return c, c.addOrganisations(e.Organisations)
}

func (c *hashedClient) addOrganisations(list []string) error {
	if len(list) == 0 {
		return errors.New(`organisations: none is given; "*" stands for all`)
	}
	for _, name := range list {
		switch {
		case name == "*":
			c.everybody = true
		case record.IsName(name):
			c.organisations[name] = true
		default:
			return fmt.Errorf(`organisations: %q is neither an organisation's id nor "*"`, name)
		}
	}
	return nil
}

// authenticate finds the client whose key the request carries as "authorization: Bearer <key>".
func (k *Keys) authenticate(ctx context.Context) (*client, error) {
	k.look(time.Now())
	header := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(header) != 1 {
		return nil, fail(codes.Unauthenticated, ReasonKeyMissing, `one header "authorization: Bearer <key>" is needed`)
	}
	scheme, key, _ := strings.Cut(header[0], " ")
	if !strings.EqualFold(scheme, "bearer") || key == "" || len(key) > maxKeyBytes {
		return nil, fail(codes.Unauthenticated, ReasonKeyMissing, `the header must read "authorization: Bearer <key>"`)
	}
	if c := k.current.Load().find(key); c != nil {
		return c, nil
	}
	return nil, fail(codes.Unauthenticated, ReasonKeyUnknown, "this key is not known here")
}

// find compares hashes, in constant time for the part that did not choose the bucket.
func (s *keySet) find(key string) *client {
	sum := sha256.Sum256([]byte(key))
	bucket := s.clients[[8]byte(sum[:8])]
	for i := range bucket {
		if subtle.ConstantTimeCompare(bucket[i].sum[:], sum[:]) == 1 {
			return &bucket[i].client
		}
	}
	return nil
}

// look reads the file again when it changed, at most once every lookEvery and by one request at a time.
func (k *Keys) look(now time.Time) {
	if now.UnixNano()-k.looked.Load() < int64(lookEvery) || !k.looking.CompareAndSwap(false, true) {
		return
	}
	defer k.looking.Store(false)
	k.looked.Store(now.UnixNano())
	stamp, err := stampOf(k.path)
	if err == nil && stamp.same(k.current.Load().stamp) {
		return
	}
	var set *keySet
	if err == nil {
		set, err = readKeys(k.path)
	}
	if err == nil {
		k.current.Store(set)
	}
	k.report(err)
}
