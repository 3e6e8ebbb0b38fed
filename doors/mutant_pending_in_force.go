//go:build mutant_pending_in_force

package doors

const mutantPendingInForce = true
