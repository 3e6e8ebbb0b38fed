//go:build !mutant_cache_redis_patient

package cache

const mutantCacheRedisPatient = false
