//go:build mutant_suppression_erased

package record

// mutantSuppressionErased erases objections and withdrawals too.
const mutantSuppressionErased = true
