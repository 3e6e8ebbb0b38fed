//go:build !mutant_keep_trunk_zero

package telephony

const mutantKeepTrunkZero = false
