//go:build !mutant_decision_log_waits

package ops

const mutantDecisionLogWaits = false
