package cache

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/belpoort/belpoort/rig"
)

// wantRefused opens, and wants a refusal that names all of these and no password.
func wantRefused(t *testing.T, url string, names ...string) {
	t.Helper()
	s, err := OpenRedis(ctx, redisOptions(url))
	if err == nil {
		s.Close()
		t.Errorf("not refused, want %q", names)
		return
	}
	if !errors.Is(err, ErrRefused) {
		t.Errorf("%v is no ErrRefused", err)
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v: does not name %q", err, name)
		}
	}
	for _, secret := range []string{"s3cret", "p@ss", "p%40ss"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%v: shows a password", err)
		}
	}
}

// TestRedisRefused: a Redis that answers but must not be used is refused with what to do. Mutant:
// mutant_cache_redis_any_deployment.
func TestRedisRefused(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{Users: []string{userOf(RedisACL)}})
	wantRefused(t, "redis://belpoort:s3cret@"+r.Address(), "user and password", "ACL SETUSER")
	wantRefused(t, singleURL(r)+"/99", "no database 99")
	wantRefused(t, "redis+cluster://"+r.Address(), "no Cluster", "redis://")
	r.Do("SET", deploymentKey, "somebody else's")
	wantRefused(t, singleURL(r), "another deployment", deploymentKey)
	r.Do("DEL", deploymentKey)
	r.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	wantRefused(t, singleURL(r), "allkeys-lru", "noeviction", "holds")
	r.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")

	locked := rig.StartRedis(t, rig.RedisOptions{})
	locked.Do("ACL", "SETUSER", "default", "resetpass", ">s3cret")
	wantRefused(t, singleURL(locked), "user and password")
	wantRefused(t, "redis://:s3cret%20@"+locked.Address(), "user and password")

	replica := rig.StartRedis(t, rig.RedisOptions{ReplicaOf: r})
	wantRefused(t, singleURL(replica), "replica", "name its master")

	member := rig.StartRedis(t, rig.RedisOptions{Member: true})
	wantRefused(t, singleURL(member), "redis+cluster://")
	member.Do("CLUSTER", "ADDSLOTSRANGE", 0, 100)
	wantRefused(t, "redis+cluster://"+member.Address(), "cluster_state")
}

// TestOldRedisIsRefused rewrites the version on its way.
func TestOldRedisIsRefused(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	p := rig.StartProxy(t, r.Address())
	p.Rewrite(func() rig.Wire {
		return rig.Wire{ToClient: func(b []byte) []byte {
			return bytes.Replace(b, []byte("redis_version:7."), []byte("redis_version:6."), 1)
		}}
	})
	wantRefused(t, "redis://"+p.Address(), `version "6.`, "7.0")
}

// TestEveryRightIsNeeded: the user of RedisACL has just enough; each right that is taken away is missed by name.
func TestEveryRightIsNeeded(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{Users: []string{userOf(RedisACL)}})
	url := "redis://" + userInURL + r.Address() + "/1"
	openRedis(t, redisOptions(url)).Close()
	for _, command := range []string{"get", "set", "del", "lrange", "lpush", "ltrim", "lrem", "pexpire", "info", "select"} {
		r.Do("ACL", "SETUSER", "belpoort", "-"+command)
		wantRefused(t, url, "missing rights", "'"+command+"'", "ACL SETUSER")
		r.Do("ACL", "SETUSER", "belpoort", "+"+command)
	}
	r.Do("ACL", "SETUSER", "belpoort", "resetkeys", "~other:*")
	wantRefused(t, url, "missing rights", "key", "ACL SETUSER")
	r.Do("ACL", "SETUSER", "belpoort", "~belpoort:*")
	openRedis(t, redisOptions(url)).Close()
}

// TestRefusedLater: a Redis that becomes unfit is not used until it is fit again.
func TestRefusedLater(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	var told errorsTold
	o := redisOptions(singleURL(r))
	o.OnError = told.tell
	s := openRedis(t, o)
	n := fresh(anna, 10)
	put(t, s, n)
	r.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
	s.watch.poke()
	eventually(t, "refused", func() bool { return errors.Is(s.Health(), ErrRefused) })
	wantGet(t, s, anna, nil)
	r.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	eventually(t, "used", func() bool { return s.Health() == nil })
	wantGet(t, s, anna, n)
	eventually(t, "told", func() bool {
		text := told.String()
		return strings.Contains(text, "allkeys-random") && strings.HasSuffix(text, "<nil>]")
	})
}

func TestRedisURL(t *testing.T) {
	for url, want := range map[string]redisAddress{
		"redis://h":                 {hosts: []string{"h:6379"}},
		"redis://h:1/3":             {hosts: []string{"h:1"}, database: 3},
		"rediss://:p%40%2f%25@h":    {tls: true, hosts: []string{"h:6379"}, password: "p@/%"},
		"REDIS://u:a:b@c@[::1]:7":   {hosts: []string{"[::1]:7"}, user: "u", password: "a:b@c"},
		"redis://[fe80::1]":         {hosts: []string{"[fe80::1]:6379"}},
		"redis+cluster://u:p@a:1,b": {kind: redisCluster, hosts: []string{"a:1", "b:6379"}, user: "u", password: "p"},
		"rediss+cluster://a":        {kind: redisCluster, tls: true, hosts: []string{"a:6379"}},
		"redis+sentinel://a,b:5/m":  {kind: redisSentinel, hosts: []string{"a:26379", "b:5"}, master: "m"},
		"redis+sentinel://a/m?db=2": {kind: redisSentinel, hosts: []string{"a:26379"}, master: "m", database: 2},
		"redis+sentinel://u:p@a/m%20x?sentinel-user=su&sentinel-password=s%26p": {kind: redisSentinel, hosts: []string{"a:26379"},
			user: "u", password: "p", master: "m x", sentinelUser: "su", sentinelPassword: "s&p"},
	} {
		got, err := parseRedisURL(url)
		if err != nil || got.kind != want.kind || got.tls != want.tls || strings.Join(got.hosts, " ") != strings.Join(want.hosts, " ") ||
			got.user != want.user || got.password != want.password || got.database != want.database || got.master != want.master ||
			got.sentinelUser != want.sentinelUser || got.sentinelPassword != want.sentinelPassword {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
}

func TestBadRedisURL(t *testing.T) {
	for url, part := range map[string]string{
		"":                                                  "redis://",
		"h:6379":                                            "redis://",
		"http://:s3cret@h":                                  "scheme",
		"redis+ring://:s3cret@h":                            "scheme",
		"redis://":                                          "host",
		"redis://:s3cret@":                                  "host",
		"redis://:s3cret@h:0":                               "port",
		"redis://:s3cret@h:65536":                           "port",
		"redis://:s3cret@h:x":                               "port",
		"redis://:s3cret@fe80::1":                           "brackets",
		"redis://:s3cret@a b":                               "host",
		"redis://:s3cret@a,b":                               "several",
		"redis://u@h":                                       "password",
		"redis://u:s3cret%zz@h":                             "password",
		"redis://u%zz:s3cret@h":                             "user",
		"redis://u:s3cret/x@h":                              "port",
		"redis://u:s3cret#x@h":                              "%23",
		"redis://:s3cret@h/a":                               "database",
		"redis://:s3cret@h/-1":                              "database",
		"redis://:s3cret@h/0/1":                             "database",
		"redis://:s3cret@h?db=1":                            "query",
		"redis+cluster://:s3cret@a,,b":                      "host 2",
		"redis+cluster://:s3cret@a/1":                       "database",
		"redis+sentinel://:s3cret@a":                        "master name",
		"redis+sentinel://:s3cret@a/m/1":                    "master name",
		"redis+sentinel://:s3cret@a/m?db=x":                 "database",
		"redis+sentinel://a/m?pw=s3cret":                    "query",
		"redis+sentinel://a/m?db=1&db=2":                    "twice",
		"redis+sentinel://a/m?sentinel-password=s3cret%zz":  "query",
		"redis+cluster://" + strings.Repeat("a,", 64) + "a": "64",
	} {
		_, err := parseRedisURL(url)
		if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want it to name %q", url, err, part)
		}
	}
}

func TestRedisOptions(t *testing.T) {
	for field, spoil := range map[string]func(*RedisOptions[*note]){
		"URL":                      func(o *RedisOptions[*note]) { o.URL = "redis:" },
		"Deployment":               func(o *RedisOptions[*note]) { o.Deployment = "" },
		"Deployment has 129 bytes": func(o *RedisOptions[*note]) { o.Deployment = strings.Repeat("x", 129) },
		"Sealer":                   func(o *RedisOptions[*note]) { o.Sealer = nil },
		"Codec":                    func(o *RedisOptions[*note]) { o.Codec = nil },
		"Floors":                   func(o *RedisOptions[*note]) { o.Floors = nil },
		"Timeout":                  func(o *RedisOptions[*note]) { o.Timeout = 2 * time.Second },
		"Readers":                  func(o *RedisOptions[*note]) { o.Readers = 65 },
		"Queue":                    func(o *RedisOptions[*note]) { o.Queue = -1 },
		"MaxAge":                   func(o *RedisOptions[*note]) { o.MaxAge = 25 * time.Hour },
	} {
		o := redisOptions("redis://h")
		spoil(&o)
		if _, err := OpenRedis(ctx, o); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
