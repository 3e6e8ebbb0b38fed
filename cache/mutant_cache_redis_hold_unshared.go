//go:build mutant_cache_redis_hold_unshared

package cache

const mutantCacheRedisHoldUnshared = true
