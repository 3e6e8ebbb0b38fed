//go:build mutant_fence_settle_at_once

package fence

// mutantSettleAtOnce does not wait for anybody.
const mutantSettleAtOnce = true
