//go:build !mutant_cache_redis_no_seal

package cache

const mutantCacheRedisNoSeal = false
