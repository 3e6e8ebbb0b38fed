//go:build !mutant_cache_redis_no_age

package cache

const mutantCacheRedisNoAge = false
