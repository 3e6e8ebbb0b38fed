//go:build mutant_cache_redis_no_floor

package cache

const mutantCacheRedisNoFloor = true
