//go:build mutant_cache_no_callee_check

package cache

const mutantCacheNoCalleeCheck = true
