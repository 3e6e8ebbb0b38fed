package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestRedisLivesAndDies(t *testing.T) {
	r := StartRedis(t, RedisOptions{Users: []string{"anna on >secret ~a:* -@all +get"}})
	r.Do("SET", "k", "dumped")
	r.Dump()
	r.Do("SET", "k", "later")
	r.Restart()
	if got := r.Do("GET", "k"); got != "dumped" {
		t.Errorf("after a restart with a dump: %v", got)
	}
	r.ForgetDump()
	r.Restart()
	if got := r.Do("GET", "k"); got != nil {
		t.Errorf("after a restart without: %v", got)
	}
	if got := fmt.Sprint(r.Do("ACL", "LIST")); !strings.Contains(got, "user anna on") {
		t.Errorf("users: %v", got)
	}
	client := r.Client()
	r.Pause()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if err := client.Ping(ctx).Err(); !errors.Is(err, context.DeadlineExceeded) && !os.IsTimeout(err) {
		t.Errorf("a paused server answers: %v", err)
	}
	r.Resume()
	r.Do("PING")
	r.Kill()
	if c, err := net.Dial("tcp", r.Address()); err == nil {
		c.Close()
		t.Error("a killed server listens")
	}
}

func TestRedisClusterIsWhole(t *testing.T) {
	c := StartRedisCluster(t, RedisOptions{})
	info := fmt.Sprint(c.Masters[1].Do("CLUSTER", "INFO"))
	if !strings.Contains(info, "cluster_slots_ok:16384") || !strings.Contains(info, "cluster_size:3") {
		t.Error(info)
	}
}

func TestRedisSentinelFailsOver(t *testing.T) {
	s := StartRedisSentinel(t, SentinelOptions{})
	first := s.Master(t)
	first.Kill()
	if second := s.Master(t); second == first {
		t.Error("the master is the one that was killed")
	}
}

func TestProxy(t *testing.T) {
	r := StartRedis(t, RedisOptions{})
	p := StartProxy(t, r.Address())
	call := func(within time.Duration) error {
		c, err := net.Dial("tcp", p.Address())
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(within))
		if _, err = c.Write([]byte("PING\r\n")); err != nil {
			return err
		}
		answer := make([]byte, 7)
		n, err := c.Read(answer)
		if err == nil && string(answer[:n]) != "+PONG\r\n" {
			err = fmt.Errorf("answer %q", answer[:n])
		}
		return err
	}
	if err := call(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if err := call(5 * time.Second); err == nil || os.IsTimeout(err) {
		t.Errorf("cut: %v", err)
	}
	p.Hang()
	if err := call(30 * time.Millisecond); !os.IsTimeout(err) {
		t.Errorf("hung: %v", err)
	}
	p.Heal()
	p.Delay(20 * time.Millisecond)
	began := time.Now()
	if err := call(5 * time.Second); err != nil || time.Since(began) < 40*time.Millisecond {
		t.Errorf("delayed: %v after %v", err, time.Since(began))
	}
	p.Heal()
	p.Rewrite(func() Wire {
		return Wire{ToClient: func(b []byte) []byte { return []byte(strings.Replace(string(b), "PONG", "PANG", 1)) }}
	})
	if err := call(5 * time.Second); err == nil || !strings.Contains(err.Error(), "PANG") {
		t.Errorf("rewritten: %v", err)
	}
}
