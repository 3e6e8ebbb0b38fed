//go:build !mutant_encode_drops_withdrawn

package eligibility

const mutantEncodeDropsWithdrawn = false
