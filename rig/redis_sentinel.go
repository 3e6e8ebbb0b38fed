package rig

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisSentinel is a master and its replica, watched by three Sentinels.
type RedisSentinel struct {
	Name      string // of the master, to Sentinel
	Servers   []*Redis
	Sentinels []*Redis
}

// SentinelOptions say how the servers and the Sentinels are set up.
type SentinelOptions struct {
	Servers       RedisOptions
	SentinelUsers []string // as in RedisOptions.Users
}

// StartRedisSentinel starts them and waits until each Sentinel knows of all others.
func StartRedisSentinel(t testing.TB, o SentinelOptions) *RedisSentinel {
	t.Helper()
	master := StartRedis(t, o.Servers)
	o.Servers.ReplicaOf = master
	s := &RedisSentinel{Name: "belpoort-master", Servers: []*Redis{master, StartRedis(t, o.Servers)}}
	await(t, "the replica", func() error {
		if info := fmt.Sprint(master.Do("INFO", "replication")); !strings.Contains(info, "state=online") {
			return errors.New(info)
		}
		return nil
	})
	for range 3 {
		s.Sentinels = append(s.Sentinels, s.startSentinel(t, master, o.SentinelUsers))
	}
	for _, one := range s.Sentinels {
		s.awaitKnown(t, one)
	}
	return s
}

func (s *RedisSentinel) startSentinel(t testing.TB, master *Redis, users []string) *Redis {
	t.Helper()
	r := newRedis(t)
	r.mode = []string{"--sentinel"}
	lines := []string{
		"bind 127.0.0.1", "port " + strconv.Itoa(r.port), "dir " + r.folder, "logfile " + r.logFile(), "protected-mode no",
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 2", s.Name, master.port),
		"sentinel down-after-milliseconds " + s.Name + " 200",
		"sentinel failover-timeout " + s.Name + " 1000",
	}
	for _, user := range users {
		lines = append(lines, "user "+user)
	}
	r.configure(lines)
	r.Start()
	return r
}

func (s *RedisSentinel) awaitKnown(t testing.TB, one *Redis) {
	t.Helper()
	client := redis.NewSentinelClient(&redis.Options{Addr: one.Address(), Protocol: 2, DisableIdentity: true})
	defer client.Close()
	await(t, "the Sentinels", func() error {
		known, err := client.Master(context.Background(), s.Name).Result()
		if err == nil && (known["num-other-sentinels"] != "2" || known["num-slaves"] != "1" || known["flags"] != "master") {
			err = fmt.Errorf("known: %v", known)
		}
		return err
	})
}

// Addresses are the Sentinels' host:port.
func (s *RedisSentinel) Addresses() []string {
	var all []string
	for _, r := range s.Sentinels {
		all = append(all, r.Address())
	}
	return all
}

// Master waits until a majority of Sentinels names one of the servers that says itself it is the master.
func (s *RedisSentinel) Master(t testing.TB) (master *Redis) {
	t.Helper()
	await(t, "a master", func() error {
		votes := map[string]int{}
		for _, one := range s.Sentinels {
			address := one.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.Name).([]any)
			votes[fmt.Sprintf("%v:%v", address[0], address[1])]++
		}
		for _, r := range s.Servers {
			if r.process != nil && 2*votes[r.Address()] > len(s.Sentinels) &&
				strings.Contains(fmt.Sprint(r.Do("INFO", "replication")), "role:master") {
				master = r
				return nil
			}
		}
		return fmt.Errorf("votes: %v", votes)
	})
	return master
}
