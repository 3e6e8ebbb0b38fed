//go:build !mutant_cache_hold_not_taken

package cache

const mutantCacheHoldNotTaken = false
