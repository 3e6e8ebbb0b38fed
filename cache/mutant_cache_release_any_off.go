//go:build !mutant_cache_release_any

package cache

const mutantCacheReleaseAny = false
