//go:build !mutant_attempts_forgotten

package eligibility

const mutantAttemptsForgotten = false
