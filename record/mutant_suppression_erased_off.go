//go:build !mutant_suppression_erased

package record

const mutantSuppressionErased = false
