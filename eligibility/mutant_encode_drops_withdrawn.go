//go:build mutant_encode_drops_withdrawn

package eligibility

// mutantEncodeDropsWithdrawn forgets that a consent was withdrawn when its record is shared.
const mutantEncodeDropsWithdrawn = true
