//go:build mutant_one_pool_for_all

package ledger

// mutantOnePoolForAll lets calls about nodes wait behind everybody's reads.
const mutantOnePoolForAll = true
