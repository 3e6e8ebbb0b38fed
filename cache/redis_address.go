package cache

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// redisAddress is the URL of RedisOptions taken apart.
type redisAddress struct {
	kind             redisKind
	tls              bool
	hosts            []string // host:port
	user, password   string
	database         int
	master           string // the name Sentinel knows the master by
	sentinelUser     string
	sentinelPassword string
}

type redisKind int

const (
	redisSingle redisKind = iota
	redisCluster
	redisSentinel
)

const (
	maxRedisHosts = 64
	redisPort     = "6379"
	sentinelPort  = "26379"
)

func badURL(format string, args ...any) error {
	return fmt.Errorf("%w: Redis URL: %s", ErrOptions, fmt.Sprintf(format, args...))
}

// parseRedisURL never repeats a user's name, password or query value in an error.
func parseRedisURL(text string) (a redisAddress, err error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return a, badURL("want redis://, rediss://, redis+cluster:// or redis+sentinel:// before the host")
	}
	if err := a.setScheme(scheme); err != nil {
		return a, err
	}
	if strings.Contains(rest, "#") {
		return a, badURL("a # is not allowed; in a password write %%23")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	hosts := authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		hosts = authority[at+1:]
		if err := a.setUser(authority[:at]); err != nil {
			return a, err
		}
	}
	if err := a.setHosts(hosts); err != nil {
		return a, err
	}
	if err := a.setPath(path); err != nil {
		return a, err
	}
	return a, a.setQuery(query)
}

func (a *redisAddress) setScheme(scheme string) error {
	base, kind, _ := strings.Cut(strings.ToLower(scheme), "+")
	switch base {
	case "redis":
	case "rediss":
		a.tls = true
	default:
		return badURL("scheme is not redis or rediss")
	}
	switch kind {
	case "":
		a.kind = redisSingle
	case "cluster":
		a.kind = redisCluster
	case "sentinel":
		a.kind = redisSentinel
	default:
		return badURL("scheme: after the + want cluster or sentinel")
	}
	return nil
}

func (a *redisAddress) setUser(info string) (err error) {
	user, password, _ := strings.Cut(info, ":")
	if a.user, err = url.PathUnescape(user); err != nil {
		return badURL("user: a %% must be followed by two hex digits")
	}
	if a.password, err = url.PathUnescape(password); err != nil {
		return badURL("password: write each of @/?#%%: as %%XX")
	}
	if a.user != "" && a.password == "" {
		return badURL("password: a user is named without one")
	}
	return nil
}

func (a *redisAddress) setHosts(list string) error {
	port := redisPort
	if a.kind == redisSentinel {
		port = sentinelPort
	}
	for i, host := range strings.Split(list, ",") {
		hostPort, err := withPort(host, port)
		if err != nil {
			return badURL("host %d: %v", i+1, err)
		}
		a.hosts = append(a.hosts, hostPort)
	}
	switch {
	case len(a.hosts) > maxRedisHosts:
		return badURL("host: %d of them, want at most %d", len(a.hosts), maxRedisHosts)
	case len(a.hosts) > 1 && a.kind == redisSingle:
		return badURL("host: several are named; want redis+cluster:// or redis+sentinel://")
	}
	return nil
}

// withPort completes a host, also an IPv6 address in brackets.
func withPort(host, port string) (string, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if !strings.Contains(name, ":") || net.ParseIP(name) != nil && host != name {
		host = net.JoinHostPort(name, port)
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return "", fmt.Errorf("want host:port, an IPv6 address in brackets")
	}
	if name == "" || strings.ContainsAny(name, " \t%[]") {
		return "", fmt.Errorf("the name is empty or has characters that no host has")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("the port is not 1 to 65535")
	}
	return host, nil
}

func (a *redisAddress) setPath(path string) (err error) {
	switch {
	case a.kind == redisSentinel:
		if path == "" || strings.Contains(path, "/") {
			return badURL("master name: want it after the hosts, as in redis+sentinel://host/master-name")
		}
		if a.master, err = url.PathUnescape(path); err != nil {
			return badURL("master name: a %% must be followed by two hex digits")
		}
		return nil
	case path == "":
		return nil
	case a.kind == redisCluster:
		return badURL("database: a Cluster has only one")
	}
	return a.setDatabase(path)
}

func (a *redisAddress) setDatabase(text string) error {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return badURL("database: want a number from 0")
	}
	a.database = int(n)
	return nil
}

func (a *redisAddress) setQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return badURL("query: not of the form name=value&name=value")
	}
	for name, value := range values {
		switch {
		case a.kind != redisSentinel:
			return badURL("query: only redis+sentinel:// has one")
		case len(value) != 1:
			return badURL("query: %s is given twice", name)
		case name == "db":
			err = a.setDatabase(value[0])
		case name == "sentinel-user":
			a.sentinelUser = value[0]
		case name == "sentinel-password":
			a.sentinelPassword = value[0]
		default:
			return badURL("query: want only db, sentinel-user and sentinel-password")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// String names the servers, and nothing secret.
func (a *redisAddress) String() string { return strings.Join(a.hosts, ",") }
