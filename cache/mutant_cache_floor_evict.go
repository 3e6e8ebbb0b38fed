//go:build mutant_cache_floor_evict

package cache

const mutantCacheFloorEvict = true
