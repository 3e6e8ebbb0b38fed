//go:build mutant_cache_redis_two_trips

package cache

const mutantCacheRedisTwoTrips = true
