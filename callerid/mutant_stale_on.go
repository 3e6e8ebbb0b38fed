//go:build mutant_callerid_stale_test

package callerid

const mutantStaleTest = true
