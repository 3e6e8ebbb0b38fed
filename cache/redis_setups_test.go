package cache

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/rig"
)

// redisContract holds a Redis to the contract, one store after the other on the same servers.
func redisContract(t *testing.T, url string, servers []*rig.Redis, admin redis.UniversalClient) {
	Contract(t, func(t *testing.T, opts Options) subject {
		for _, r := range servers {
			r.Do("FLUSHALL")
		}
		o := redisOptions(url)
		o.MaxAge, o.Clock = opts.MaxAge, opts.Clock
		s := openRedis(t, o)
		return subject{
			Store: s, settle: func() { settle(t, s) },
			misplace: func(n *note, to eligibility.CalleeToken) { copyKey(t, admin, n.callee, to) },
		}
	})
}

// copyKey puts one callee's value under another's key.
func copyKey(t *testing.T, admin redis.UniversalClient, from, to eligibility.CalleeToken) {
	t.Helper()
	value, err := admin.Get(ctx, calleeKey(from, recordAfter)).Result()
	if err == nil {
		err = admin.Set(ctx, calleeKey(to, recordAfter), value, time.Hour).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// userOf is the rules of an ACL line for a configuration file, with the password "p@ss/word".
func userOf(acl string) string {
	rules, _ := strings.CutPrefix(acl, "ACL SETUSER ")
	return strings.Replace(rules, ">PASSWORD", ">p@ss/word", 1)
}

const userInURL = "belpoort:p%40ss%2Fword@"

func TestRedisContract(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{Users: []string{userOf(RedisACL)}})
	redisContract(t, "redis://"+userInURL+r.Address()+"/1", []*rig.Redis{r}, selected(r, 1))
	neverDenied(t, r)
}

// neverDenied: the user of the ACL line was allowed all that it tried.
func neverDenied(t *testing.T, servers ...*rig.Redis) {
	t.Helper()
	for _, r := range servers {
		if log := r.Do("ACL", "LOG"); len(log.([]any)) > 0 {
			t.Errorf("denied: %v", log)
		}
	}
}

func selected(r *rig.Redis, database int) redis.UniversalClient {
	o := *r.Client().Options()
	o.DB = database
	return redis.NewClient(&o)
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	c := rig.StartRedisCluster(t, rig.RedisOptions{
		Users: []string{userOf(RedisClusterACL)}, Config: []string{"cluster-require-full-coverage no"},
	})
	admin := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addresses()})
	defer admin.Close()
	url := "redis+cluster://" + userInURL + strings.Join(c.Addresses(), ",")
	redisContract(t, url, c.Masters, admin)
	neverDenied(t, c.Masters...)
	t.Run("member hangs", func(t *testing.T) { memberHangs(t, c, url) })
}

func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	s := rig.StartRedisSentinel(t, rig.SentinelOptions{
		Servers:       rig.RedisOptions{Users: []string{userOf(RedisACL)}},
		SentinelUsers: []string{userOf(RedisSentinelACL)},
	})
	master := s.Master(t)
	url := "redis+sentinel://" + userInURL + strings.Join(s.Addresses(), ",") + "/" + s.Name +
		"?sentinel-user=belpoort&sentinel-password=p%40ss%2Fword"
	redisContract(t, url, []*rig.Redis{master}, master.Client())
	neverDenied(t, append(s.Sentinels, master)...)
	t.Run("refused", func(t *testing.T) { sentinelRefused(t, s) })
	t.Run("failover", func(t *testing.T) { failsOver(t, s, url) })
}

// memberHangs: what lies on the other masters is still found.
func memberHangs(t *testing.T, c *rig.RedisCluster, url string) {
	s := openRedis(t, faultOptions(url))
	const callees = 300
	for n := range uint64(callees) {
		s.Put(ctx, fresh(token(n), 10))
	}
	settle(t, s)
	found := func() (hits int) {
		for n := range uint64(callees) {
			if s.Look(ctx, token(n), keep(1)).Found {
				hits++
			}
		}
		return hits
	}
	if hits := found(); hits != callees {
		t.Fatalf("%d of %d found", hits, callees)
	}
	c.Masters[1].Pause()
	found()
	if hits := found(); hits < callees/2 || hits > callees*3/4 {
		t.Errorf("%d of %d found while one of three masters hangs", hits, callees)
	}
	if st := s.Stats(); st.Timeouts+st.Failed > callees/3 {
		t.Errorf("of those that lie there too many asked it: %+v", st)
	}
	c.Masters[1].Resume()
	eventually(t, "whole again", func() bool { return found() == callees })
}

// failsOver kills the master; the floors hold, whatever the replica had.
func failsOver(t *testing.T, servers *rig.RedisSentinel, url string) {
	s := openRedis(t, faultOptions(url))
	old, first := fresh(anna, 10), servers.Master(t)
	put(t, s, old)
	first.Do("WAIT", 1, 5000)
	s.Raise(anna, 11)
	lookers(t, s, func() {
		first.Kill()
		var second *rig.Redis
		backWithin(t, s, func() {
			if second = servers.Master(t); second == first {
				t.Fatal("no failover")
			}
		})
	})
	wantGet(t, s, anna, nil)
	newer := fresh(anna, 11)
	put(t, s, newer)
	wantGet(t, s, anna, newer)
}

func sentinelRefused(t *testing.T, s *rig.RedisSentinel) {
	wantRefused(t, "redis+sentinel://"+strings.Join(s.Addresses(), ",")+"/nobody", "master", "name")
	wantRefused(t, singleURL(s.Sentinels[0]), "redis+sentinel://")
	at := "redis+sentinel://" + s.Addresses()[0] + "/" + s.Name
	wantRefused(t, at+"?sentinel-user=x&sentinel-password=s3cret", "sentinel-user", RedisSentinelACL)
	s.Sentinels[0].Do("ACL", "SETUSER", "poor", "on", ">s3cret", "-@all", "+ping")
	wantRefused(t, at+"?sentinel-user=poor&sentinel-password=s3cret", "missing rights", RedisSentinelACL)
}
