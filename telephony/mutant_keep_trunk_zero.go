//go:build mutant_keep_trunk_zero

package telephony

// mutantKeepTrunkZero leaves the trunk zero after +31 in the number.
const mutantKeepTrunkZero = true
