package permit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func wantKinds(t *testing.T, k *Keys, want ...string) {
	t.Helper()
	var got []string
	for _, key := range k.Public() {
		got = append(got, key.ID)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("keys %v, want %v", got, want)
	}
}

func rotated(t testing.TB, path string, now time.Time, lead time.Duration) Rotation {
	t.Helper()
	done, err := Rotate(path, now, lead)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// lookAgain makes the next use look at the file, as it would within a second.
func lookAgain(k *Keys) { k.looked.Store(0) }

func TestOpenMakesAKeyFileAndFindsItAgain(t *testing.T) {
	path := keyPath(t)
	token := signed(t, opened(t, path, nil), samplePermit())
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	before := mustRead(t, path)
	if _, err := opened(t, path, seedOf(7)).ForDialing(token, noon); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if !bytes.Equal(before, mustRead(t, path)) {
		t.Error("the file changed")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestNodesOfOneSeedAgree(t *testing.T) {
	a, b := keyPath(t), keyPath(t)
	token := signed(t, opened(t, a, seedOf(1)), samplePermit())
	if _, err := opened(t, b, seedOf(1)).ForDialing(token, noon); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(mustRead(t, a), mustRead(t, b)) {
		t.Error("the files differ")
	}
	wantFault(t, opened(t, keyPath(t), seedOf(2)), "another deployment", token, noon, UnknownKey)
	if _, err := OpenKeys(keyPath(t), []byte("short"), nil); err == nil {
		t.Error("a short seed was taken")
	}
}

func TestOpensAtOnceShareOneFile(t *testing.T) {
	path := keyPath(t)
	var all sync.WaitGroup
	var ids [8]string
	for i := range ids {
		all.Go(func() {
			if k, err := OpenKeys(path, nil, nil); err == nil {
				ids[i] = k.Public()[0].ID
			}
		})
	}
	all.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("%q", ids)
		}
	}
}

// A rotation without a restart, on two nodes of which one gets its copy a little later.
func TestRotationWithoutRestart(t *testing.T) {
	path, copied := keyPath(t), keyPath(t)
	told := make(chan error, 8)
	here, err := OpenKeys(path, seedOf(1), func(err error) { told <- err })
	if err != nil {
		t.Fatal(err)
	}
	there := opened(t, copied, seedOf(1))
	old := signed(t, here, samplePermit())
	done := rotated(t, path, noon, time.Minute)
	if err := os.WriteFile(copied, mustRead(t, path), 0o600); err != nil {
		t.Fatal(err)
	}
	lookAgain(here)
	wantKinds(t, here, done.Old.ID, done.New.ID)
	if err := <-told; err != nil {
		t.Error(err)
	}
	during, after := samplePermit().at(noon.Add(59*time.Second)), samplePermit().at(noon.Add(time.Minute))
	for _, c := range []struct {
		p   Permit
		key PublicKey
	}{{during, done.Old}, {after, done.New}} {
		token := signed(t, here, c.p)
		if _, id, err := here.Signer(token); err != nil || id != c.key.ID {
			t.Errorf("signed with %s, %v, want %s", id, err, c.key.ID)
		}
		// The other node has not looked at its copy yet: the id it does not know makes it look.
		if _, err := there.ForDialing(token, c.p.Issued); err != nil {
			t.Errorf("the other node: %v", err)
		}
	}
	for _, at := range []time.Duration{0, time.Hour, DefaultReport + LateReport - 1} {
		if _, _, err := here.ForReport(old, noon.Add(at)); err != nil {
			t.Errorf("a permit of the old key after %v: %v", at, err)
		}
	}
}

func (p Permit) at(t time.Time) Permit {
	p.Issued, p.DialUntil, p.ReportUntil = t, t.Add(MaxDial), t.Add(DefaultReport)
	return p
}

// Whoever stole the old key can sign nothing that claims to be newer than its end; before that it cannot begin early.
func TestAKeySignsInItsTimeOnly(t *testing.T) {
	path := keyPath(t)
	stale := opened(t, path, nil)
	stale.path = "" // a node whose copy never came
	done := rotated(t, path, noon, time.Minute)
	k := opened(t, path, nil)
	end := done.New.From.Add(overlap)
	early := samplePermit().at(end.Add(-time.Millisecond))
	if _, err := k.ForDialing(signed(t, stale, early), early.Issued); err != nil {
		t.Errorf("before the end: %v", err)
	}
	for _, at := range []time.Time{end, end.Add(time.Hour)} {
		wantFault(t, k, "a retired key", signed(t, stale, samplePermit().at(at)), at, RetiredKey)
	}
	set := k.current.Load()
	set.newest().From = time.Time{}
	begun := signed(t, k, samplePermit())
	set.newest().From = done.New.From
	wantFault(t, k, "a key yet to begin", begun, noon, RetiredKey)
}

func TestRotationsKeepWhatTheyMust(t *testing.T) {
	path := keyPath(t)
	opened(t, path, nil)
	first := rotated(t, path, noon, 0)
	if _, err := Rotate(path, noon.Add(-time.Second), 0); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("a rotation before the last began: %v", err)
	}
	for _, lead := range []time.Duration{-1, MaxLead + 1} {
		if _, err := Rotate(path, noon.Add(time.Hour), lead); err == nil || !strings.Contains(err.Error(), "lead") {
			t.Errorf("lead %v: %v", lead, err)
		}
	}
	second := rotated(t, path, noon.Add(time.Hour), 0)
	k := opened(t, path, nil)
	wantKinds(t, k, first.Old.ID, first.New.ID, second.New.ID)
	for i, signs := range []bool{false, true, true} {
		if has := k.current.Load().keys[i].secret != nil; has != signs {
			t.Errorf("key %d has its secret: %v", i, has)
		}
	}
	if want := noon.Add(time.Hour + overlap + MaxReport + LateReport); !second.Gone.Equal(want) || second.Old.ID != first.New.ID {
		t.Errorf("%+v, want the end %v", second, want)
	}
}

// fullFile holds as many keys as may be, that began each step after the one before it.
func fullFile(t *testing.T, step time.Duration) string {
	t.Helper()
	keys := make([]key, maxKeys)
	for i := range keys {
		begin := noon.Add(step * time.Duration(i-maxKeys))
		keys[i] = newKey(append(seedOf(byte(i))[:31], byte(i>>8)+1), begin)
		if i+1 < maxKeys {
			keys[i].Until = begin.Add(step + overlap)
		}
	}
	data, err := marshalKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	path := keyPath(t)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheOldestKeyMakesRoom(t *testing.T) {
	path := fullFile(t, 24*time.Hour)
	before := opened(t, path, nil).Public()
	done := rotated(t, path, noon, 0)
	after := opened(t, path, nil).Public()
	if len(after) != maxKeys || after[0].ID != before[1].ID || after[maxKeys-1].ID != done.New.ID {
		t.Errorf("%d keys, %s to %s", len(after), after[0].ID, after[len(after)-1].ID)
	}
}

// Too many rotations would push out keys whose permits are still to be reported.
func TestRotationsDoNotForgetOpenPermits(t *testing.T) {
	path := fullFile(t, time.Minute)
	before := mustRead(t, path)
	if _, err := Rotate(path, noon, 0); err == nil || !strings.Contains(err.Error(), "wait until") {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(before, mustRead(t, path)) {
		t.Error("the file changed")
	}
}

func TestRotationsAtOnceLoseNothing(t *testing.T) {
	path := keyPath(t)
	opened(t, path, nil)
	var all sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		all.Go(func() {
			if done, err := Rotate(path, noon, 0); err == nil {
				ids[i] = done.New.ID
			}
		})
	}
	all.Wait()
	set := opened(t, path, nil).current.Load()
	for _, id := range ids {
		if set.byID[id] == nil {
			t.Errorf("the key %q is not in the file", id)
		}
	}
}

func TestABrokenFileLeavesTheKeysInForce(t *testing.T) {
	path := keyPath(t)
	told := make(chan error, 8)
	k, err := OpenKeys(path, nil, func(err error) { told <- err })
	if err != nil {
		t.Fatal(err)
	}
	token, good := signed(t, k, samplePermit()), mustRead(t, path)
	for _, spoil := range []func() error{
		func() error { return os.WriteFile(path, good[:len(good)/2], 0o600) },
		func() error { return os.Remove(path) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		lookAgain(k)
		if _, err := k.ForDialing(token, noon); err != nil {
			t.Error(err)
		}
		if err := <-told; err == nil {
			t.Error("the reading was told as good")
		}
	}
	wantFault(t, k, "a stranger's", signed(t, opened(t, keyPath(t), nil), samplePermit()), noon, UnknownKey)
	if len(told) != 0 {
		t.Error("a bad token made the file's error be told")
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	lookAgain(k)
	signed(t, k, samplePermit())
	if err := <-told; err != nil {
		t.Error(err)
	}
}

func TestKeyFilesThatAreRefused(t *testing.T) {
	path := keyPath(t)
	opened(t, path, seedOf(1))
	good := string(mustRead(t, path))
	line := func(name string) string {
		for l := range strings.Lines(good) {
			if strings.Contains(l, `"`+name+`"`) {
				return l
			}
		}
		t.Fatalf("no %s in %s", name, good)
		return ""
	}
	with := func(name, value string) string {
		return strings.Replace(good, line(name), `"`+name+`": "`+value+`",`+"\n", 1)
	}
	entry := good[strings.Index(good, "[")+1 : strings.LastIndex(good, "]")]
	other := keyPath(t)
	opened(t, other, seedOf(2))
	strange := strings.Split(strings.Split(string(mustRead(t, other)), `"x": "`)[1], `"`)[0]
	for name, c := range map[string]struct{ content, want string }{
		"nothing":         {"", "no set"},
		"half":            {good[:len(good)/2], "no set"},
		"another format":  {"keys: []", "no set"},
		"no key":          {`{"keys":[]}`, "holds 0 keys"},
		"more after it":   {good + "{}", "something follows"},
		"a key twice":     {`{"keys":[` + entry + "," + entry + "]}", "twice"},
		"unknown member":  {with("use", `sig","extra":"1`), "unknown field"},
		"kty":             {with("kty", "RSA"), "keys[0].kty"},
		"crv":             {with("crv", "P-256"), "keys[0].crv"},
		"use":             {with("use", "enc"), "keys[0].use"},
		"alg":             {with("alg", "HS256"), "keys[0].alg"},
		"kid":             {with("kid", "AAAAAAAAAAA"), "keys[0].kid"},
		"x":               {with("x", "AAAA"), "keys[0].x"},
		"another x":       {with("x", strange), "keys[0].kid"},
		"d":               {strings.Replace(good, line("d"), `"d": "AAAA"`, 1), "keys[0].d"},
		"another d":       {strings.Replace(good, line("d"), `"d": "`+strings.Repeat("A", 43)+`"`, 1), "keys[0].d"},
		"no d":            {strings.Replace(strings.Replace(good, line("d"), "", 1), line("x"), strings.TrimRight(line("x"), ",\n"), 1), "newest key"},
		"an ended key":    {with("use", `sig","signs_until":"2026-01-01T00:00:00Z`), "newest key"},
		"ends and begins": {with("use", `sig","signs_from":"2026-01-01T00:00:00Z","signs_until":"2026-01-01T00:00:00Z`), "signs_until"},
		"too long":        {good + strings.Repeat(" ", maxKeyFile), "more than"},
	} {
		spoilt := keyPath(t)
		if err := os.WriteFile(spoilt, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenKeys(spoilt, nil, nil)
		if !errors.Is(err, ErrKeyFile) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), spoilt) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if secret := base64url.EncodeToString(seedOf(1)); err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error tells the secret", name)
		}
		if got := string(mustRead(t, spoilt)); got != c.content {
			t.Errorf("%s: the file changed", name)
		}
	}
}

func TestAKeyFileThatOthersCanReadIsRefused(t *testing.T) {
	path := keyPath(t)
	opened(t, path, nil)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKeys(path, nil, nil); !errors.Is(err, ErrKeyFile) || !strings.Contains(err.Error(), "mode") {
			t.Errorf("%o: %v", mode, err)
		}
	}
	if _, err := OpenKeys(t.TempDir(), nil, nil); !errors.Is(err, ErrKeyFile) {
		t.Errorf("a folder: %v", err)
	}
}

// A process that died while it wrote left a copy of the secrets behind.
func TestDraftsAreSwept(t *testing.T) {
	path := keyPath(t)
	opened(t, path, nil)
	draft := filepath.Join(filepath.Dir(path), draftStart+"1")
	if err := os.WriteFile(draft, mustRead(t, path), 0o600); err != nil {
		t.Fatal(err)
	}
	rotated(t, path, noon, 0)
	if _, err := os.Stat(draft); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the draft is there: %v", err)
	}
}

func TestPublicKeysCheckAndDoNotSign(t *testing.T) {
	path := keyPath(t)
	k := opened(t, path, nil)
	token := signed(t, k, samplePermit())
	rotated(t, path, noon, time.Hour)
	lookAgain(k)
	data, err := PublicSet(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Keys []map[string]string }
	if err := json.Unmarshal(data, &file); err != nil || len(file.Keys) != 2 {
		t.Fatalf("%s: %v", data, err)
	}
	for i, entry := range file.Keys {
		public, err := base64.RawURLEncoding.DecodeString(entry["x"])
		if entry["d"] != "" || err != nil || !bytes.Equal(public, k.Public()[i].Key) {
			t.Errorf("%v, %v", entry, err)
		}
	}
	public, err := ReadPublic(data)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := public.ForDialing(token, noon); err != nil || got != samplePermit() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := public.Sign(samplePermit()); !errors.Is(err, ErrNoSigningKey) {
		t.Errorf("public keys signed: %v", err)
	}
	if _, err := ReadPublic(mustRead(t, path)); err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("a secret among public keys: %v", err)
	}
}

func TestReadKeysMakesNoFile(t *testing.T) {
	path := keyPath(t)
	if _, err := ReadKeys(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made")
	}
}

// Signing, checking and rotating go on at once.
func TestRotationWhileSigning(t *testing.T) {
	path := keyPath(t)
	k := opened(t, path, nil)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 100 {
				lookAgain(k)
				now := time.Now()
				token, err := k.Sign(samplePermit().at(now))
				if err == nil {
					_, err = k.ForDialing(token, now)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 5 {
		rotated(t, path, time.Now(), 0)
		time.Sleep(2 * time.Millisecond)
	}
	all.Wait()
	lookAgain(k)
	if n := len(k.Public()); n != 6 {
		t.Errorf("%d keys", n)
	}
}
