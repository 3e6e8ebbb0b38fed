//go:build !mutant_anniversary

package eligibility

const mutantAnniversary = false
