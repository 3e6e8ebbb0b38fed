//go:build !mutant_one_pool_for_all

package ledger

const mutantOnePoolForAll = false
