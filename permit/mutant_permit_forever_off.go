//go:build !mutant_permit_forever

package permit

const mutantPermitForever = false
