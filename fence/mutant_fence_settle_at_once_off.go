//go:build !mutant_fence_settle_at_once

package fence

const mutantSettleAtOnce = false
