//go:build !mutant_cache_no_floor

package cache

const mutantCacheNoFloor = false
