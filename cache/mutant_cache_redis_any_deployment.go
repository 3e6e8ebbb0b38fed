//go:build mutant_cache_redis_any_deployment

package cache

const mutantCacheRedisAnyDeployment = true
