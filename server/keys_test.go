package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
)

func bearer(t *testing.T, k *Keys, key string) (*client, error) {
	t.Helper()
	return k.authenticate(metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+key)))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBadKeyFilesNameTheirLine(t *testing.T) {
	_, sum := NewKey()
	good := "keys:\n- id: a\n  sha256: " + sum + "\n  roles: [dialer]\n  organisations: [acme]\n"
	path := filepath.Join(t.TempDir(), "keys.yaml")
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":      {strings.Replace(good, "roles", "rolls", 1), "line 4"},
		"no YAML":          {"keys: [", "line 1"},
		"bad id":           {strings.Replace(good, "id: a", "id: A", 1), "line 2: keys[0].id"},
		"bad hash":         {strings.Replace(good, sum, sum[1:], 1), "line 2: keys[0].sha256"},
		"unknown role":     {strings.Replace(good, "dialer", "admin", 1), `unknown role "admin", want one of compliance, dialer, ivr, ops, register`},
		"no role":          {strings.Replace(good, "[dialer]", "[]", 1), "line 2: keys[0].roles"},
		"no organisation":  {strings.Replace(good, "[acme]", "[]", 1), "line 2: keys[0].organisations"},
		"bad organisation": {strings.Replace(good, "[acme]", "[ac me]", 1), "line 2: keys[0].organisations"},
		"same id":          {good + strings.Replace(good[6:], sum, strings.Repeat("0", 64), 1), "line 6: keys[1].id"},
		"same key":         {good + strings.Replace(good[6:], "id: a", "id: b", 1), "line 6: keys[1].sha256"},
	} {
		write(t, path, c.text)
		if _, err := OpenKeys(path, nil); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "keys.yaml") {
			t.Errorf("%s: want %q, got %v", name, c.want, err)
		}
	}
	write(t, path, good)
	if _, err := OpenKeys(path, nil); err != nil {
		t.Error(err)
	}
	if _, err := OpenKeys(path+"x", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestKeysFollowTheirFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	entry := func(id, sum string) string {
		return "keys:\n- {id: " + id + ", sha256: " + sum + ", roles: [dialer, ivr], organisations: [acme]}\n"
	}
	old, oldSum := NewKey()
	fresh, freshSum := NewKey()
	write(t, path, entry("old", oldSum))
	var reports []error
	k, err := OpenKeys(path, func(err error) { reports = append(reports, err) })
	if err != nil {
		t.Fatal(err)
	}
	c, err := bearer(t, k, old)
	if err != nil || c.id != "old" || c.roles != roleDialer|roleIVR || !c.mayActFor("acme") || c.mayActFor("globex") {
		t.Fatalf("old key: %+v, %v", c, err)
	}
	lookAgain := func() { k.looked.Store(time.Now().Add(-2 * lookEvery).UnixNano()) }

	write(t, path, "keys: oops")
	lookAgain()
	if _, err := bearer(t, k, old); err != nil {
		t.Errorf("a wrong file took the keys away: %v", err)
	}
	write(t, path, entry("new", freshSum))
	lookAgain()
	if _, err := bearer(t, k, fresh); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if _, err := bearer(t, k, old); err == nil {
		t.Error("a key that was taken away still opens")
	}
	if len(reports) != 2 || reports[0] == nil || reports[1] != nil {
		t.Errorf("reports = %v", reports)
	}
	os.Remove(path)
	lookAgain()
	if _, err := bearer(t, k, fresh); err != nil || len(reports) != 3 || reports[2] == nil {
		t.Errorf("without its file: %v, %v", err, reports)
	}
}

func TestKeysAreLongAndNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		plain, sum := NewKey()
		if len(plain) != len(keyPrefix)+43 || len(sum) != 64 || seen[plain] || KeySum(plain) != sum {
			t.Fatalf("key of %d characters, hash of %d", len(plain), len(sum))
		}
		seen[plain] = true
	}
}
