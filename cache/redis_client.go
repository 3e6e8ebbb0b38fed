package cache

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// patience is for what nobody waits for: connecting, probing, writing, checking. Looks have a deadline of their own.
const patience = time.Second

// poolSize is not how many connections there are: those are as many as readers and writers. After so many failed
// connection attempts in a row go-redis tries only once a second.
const poolSize = 8192

// client connects when it is first used.
func (a *redisAddress) client(config *tls.Config) redis.UniversalClient {
	o := a.options(config)
	if a.kind != redisCluster {
		return redis.NewUniversalClient(o)
	}
	c := o.Cluster()
	// Else a single command first asks a server for its table of commands, for up to five seconds whatever the context
	// says, and again each time where the user may not.
	c.DisableRoutingPolicies = true
	return redis.NewClusterClient(c)
}

// options turns off what would make a call late: retries, pauses, and commands on connecting that nobody needs. A
// deadline in a context counts.
func (a *redisAddress) options(config *tls.Config) *redis.UniversalOptions {
	o := &redis.UniversalOptions{
		Addrs: a.hosts, DB: a.database, Username: a.user, Password: a.password,
		MasterName: a.master, SentinelUsername: a.sentinelUser, SentinelPassword: a.sentinelPassword,
		IsClusterMode: a.kind == redisCluster,

		Protocol: 2, DisableIdentity: true,
		ContextTimeoutEnabled: true,
		DialTimeout:           patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
		MaxRetries: -1, DialerRetries: 1, MinRetryBackoff: -1, MaxRetryBackoff: -1,
		MaxRedirects: 2, FailingTimeoutSeconds: 1,
		PoolSize: poolSize, PipelinePoolSize: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if a.tls {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if config != nil {
			o.TLSConfig = config.Clone()
		}
	}
	return o
}

// silent is go-redis' logger, of which a process has one. What goes wrong reaches OnError and Stats.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

var silence sync.Once
