//go:build mutant_permit_forever

package permit

// mutantPermitForever never looks at the end of a permit.
const mutantPermitForever = true
