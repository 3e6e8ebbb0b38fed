//go:build mutant_cache_redis_no_subject

package cache

const mutantCacheRedisNoSubject = true
