package cache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrRefused says why a Redis that answers must not be used, and what to do.
var ErrRefused = errors.New("cache: Redis refused")

// RedisACL is the user that the store needs in Redis, with every command it sends; the password is to be filled in.
// RedisClusterACL and RedisSentinelACL say what a Cluster and a Sentinel need besides, or instead.
const (
	RedisACL         = "ACL SETUSER belpoort on >PASSWORD resetkeys ~belpoort:* resetchannels -@all +select +get +set +del +lrange +lpush +ltrim +lrem +pexpire +info"
	RedisClusterACL  = RedisACL + " +cluster|info +cluster|slots"
	RedisSentinelACL = "ACL SETUSER belpoort on >PASSWORD resetkeys resetchannels &+switch-master &+replica-reconf-done -@all +subscribe +sentinel|get-master-addr-by-name +sentinel|sentinels"
)

const leastMajor = 7

// checks tell whether a Redis may be used.
type checks struct {
	client     redis.UniversalClient
	address    redisAddress
	deployment string
}

// run gives nil, an ErrRefused, or why there was no telling.
func (c checks) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	err := c.servers(ctx)
	if err == nil {
		err = c.commands(ctx)
	}
	if err == nil {
		err = c.owner(ctx)
	}
	if err == nil || errors.Is(err, ErrRefused) {
		return err
	}
	return c.explain(err)
}

func (c checks) refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrRefused, &c.address, fmt.Sprintf(format, args...))
}

// explain tells what is wrong for good from what may pass.
func (c checks) explain(err error) error {
	text := err.Error()
	certificate := (*tls.CertificateVerificationError)(nil)
	who, acl := "user and password", RedisACL
	switch {
	case c.address.kind == redisCluster:
		acl = RedisClusterACL
	case c.address.kind == redisSentinel && strings.Contains(text, "sentinel"):
		who, acl = "sentinel-user and sentinel-password", RedisSentinelACL
	}
	switch {
	case strings.Contains(text, "WRONGPASS"), strings.Contains(text, "invalid password"):
		return c.refuse("%s in the URL is wrong; create the user with %q", who, acl)
	case strings.Contains(text, "NOAUTH"):
		return c.refuse("it wants %s: put them in the URL", who)
	case strings.Contains(text, "NOPERM"):
		return c.refuse("missing rights: %s; create the user with %q", text, acl)
	case strings.Contains(text, "DB index is out of range"):
		return c.refuse("it has no database %d: put another number in the URL", c.address.database)
	case strings.Contains(text, "cluster support disabled"):
		return c.refuse("it is no Cluster: write redis:// in place of redis+cluster:// in the URL")
	case c.address.kind == redisSentinel && strings.Contains(text, redis.Nil.Error()):
		return c.refuse("no Sentinel knows a master of the name in the URL")
	case errors.As(err, &certificate):
		return c.refuse("its certificate is not trusted: %v", certificate)
	}
	return fmt.Errorf("cache: Redis at %s does not answer: %w", &c.address, err)
}

// servers looks at each master.
func (c checks) servers(ctx context.Context) error {
	cluster, is := c.client.(*redis.ClusterClient)
	if !is {
		return c.server(ctx, c.client)
	}
	if err := cluster.ForEachMaster(ctx, func(ctx context.Context, one *redis.Client) error {
		return c.server(ctx, one)
	}); err != nil {
		return err
	}
	info, err := cluster.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	if state := parseInfo(info)["cluster_state"]; state != "ok" {
		return c.refuse("cluster_state is %q, want \"ok\": see CLUSTER INFO and CLUSTER NODES", state)
	}
	return nil
}

func (c checks) server(ctx context.Context, one redis.Cmdable) error {
	text, err := one.Info(ctx).Result()
	if err != nil {
		return err
	}
	info := parseInfo(text)
	if info["redis_mode"] == "sentinel" || info["server_mode"] == "sentinel" { // Redis, Valkey
		return c.refuse("it is a Sentinel: write redis+sentinel://host/master-name in the URL")
	}
	if major, _, _ := strings.Cut(info["redis_version"], "."); !atLeast(major, leastMajor) {
		return c.refuse("it is version %q, want Redis 7.0 or Valkey 8, or later", info["redis_version"])
	}
	if info["loading"] == "1" {
		return errors.New("it is loading its data")
	}
	if info["role"] != "master" {
		if c.address.kind != redisSingle {
			return errors.New("a replica answers where a master was expected")
		}
		return c.refuse("it is a replica (role %q) and takes no writes: name its master, or Sentinels, in the URL", info["role"])
	}
	if c.address.kind == redisSingle && info["cluster_enabled"] == "1" {
		return c.refuse("it belongs to a Cluster: write redis+cluster:// in the URL")
	}
	if policy := info["maxmemory_policy"]; policy != "noeviction" {
		return c.refuse("maxmemory-policy is %q, which lets holds on callees vanish before they run out: "+
			"set it to noeviction (records expire by themselves)", policy)
	}
	return nil
}

func atLeast(number string, least int) bool {
	n, err := strconv.Atoi(number)
	return err == nil && n >= least
}

func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); found {
			info[name] = value
		}
	}
	return info
}

// commands tries what the store sends, on a key of its own.
func (c checks) commands(ctx context.Context) error {
	const key, list = keyBefore + "checks" + probeAfter, keyBefore + "checks" + attemptsAfter
	for _, try := range []struct {
		command string
		send    func() error
	}{
		{"SET NX GET PX", func() error {
			return c.client.SetArgs(ctx, key, "1", redis.SetArgs{Mode: "NX", Get: true, TTL: time.Second}).Err()
		}},
		{"SET PX", func() error { return c.client.Set(ctx, key, "1", time.Second).Err() }},
		{"GET", func() error { return c.client.Get(ctx, key).Err() }},
		{"DEL", func() error { return c.client.Del(ctx, key).Err() }},
		{"LPUSH", func() error { return c.client.LPush(ctx, list, "1").Err() }},
		{"LTRIM", func() error { return c.client.LTrim(ctx, list, 0, 0).Err() }},
		{"PEXPIRE", func() error { return c.client.PExpire(ctx, list, time.Second).Err() }},
		{"LRANGE", func() error { return c.client.LRange(ctx, list, 0, 0).Err() }},
		{"LREM", func() error { return c.client.LRem(ctx, list, -1, "1").Err() }},
	} {
		if err := try.send(); err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("%s: %w", try.command, err)
		}
	}
	return nil
}

// owner leaves this deployment's mark, also where it was flushed away, or finds it.
func (c checks) owner(ctx context.Context) error {
	mark, err := c.client.SetArgs(ctx, deploymentKey, c.deployment, redis.SetArgs{Mode: "NX", Get: true}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil
	case err != nil:
		return fmt.Errorf("SET NX GET: %w", err)
	case mark != c.deployment && !mutantCacheRedisAnyDeployment:
		return c.refuse("it is another deployment's (key %s): name another Redis or database, or delete that key "+
			"if the other one is gone", deploymentKey)
	}
	return nil
}
