//go:build mutant_cache_redis_late_release

package cache

const mutantCacheRedisLateRelease = true
