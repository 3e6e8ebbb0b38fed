//go:build mutant_anniversary

package eligibility

// mutantAnniversary: a relationship lasts a day too long.
const mutantAnniversary = true
