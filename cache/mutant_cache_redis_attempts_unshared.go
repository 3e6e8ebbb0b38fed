//go:build mutant_cache_redis_attempts_unshared

package cache

const mutantCacheRedisAttemptsUnshared = true
