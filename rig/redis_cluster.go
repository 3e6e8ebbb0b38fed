package rig

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// RedisCluster is a Redis Cluster of masters that share the slots evenly.
type RedisCluster struct {
	Masters []*Redis
}

const slotCount = 16384

// StartRedisCluster starts a Cluster of three masters and waits until each finds it whole.
func StartRedisCluster(t testing.TB, o RedisOptions) *RedisCluster {
	t.Helper()
	c := &RedisCluster{}
	const masters = 3
	o.Member = true
	for n := range masters {
		r := StartRedis(t, o)
		r.Do("CLUSTER", "SET-CONFIG-EPOCH", n+1)
		r.Do("CLUSTER", "ADDSLOTSRANGE", slotCount*n/masters, slotCount*(n+1)/masters-1)
		c.Masters = append(c.Masters, r)
	}
	first := c.Masters[0]
	for _, r := range c.Masters[1:] {
		r.Do("CLUSTER", "MEET", "127.0.0.1", first.port, busPort(first))
	}
	c.AwaitWhole(t)
	return c
}

func busPort(r *Redis) string {
	reply := fmt.Sprint(r.Do("CONFIG", "GET", "cluster-port"))
	return strings.Trim(reply[strings.LastIndexAny(reply, " :")+1:], "[]")
}

// AwaitWhole waits until each master knows of all slots.
func (c *RedisCluster) AwaitWhole(t testing.TB) {
	t.Helper()
	for _, r := range c.Masters {
		await(t, "the Cluster", func() error {
			info := fmt.Sprint(r.Do("CLUSTER", "INFO"))
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", len(c.Masters))) {
				return errors.New(info)
			}
			return nil
		})
	}
}

// Addresses are the masters' host:port.
func (c *RedisCluster) Addresses() []string {
	var all []string
	for _, r := range c.Masters {
		all = append(all, r.Address())
	}
	return all
}
