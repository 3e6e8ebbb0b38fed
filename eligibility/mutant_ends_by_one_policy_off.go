//go:build !mutant_ends_by_one_policy

package eligibility

const mutantEndsByOnePolicy = false
