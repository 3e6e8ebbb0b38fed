//go:build !mutant_unmasked

package telephony

const mutantUnmasked = false
