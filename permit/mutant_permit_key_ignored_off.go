//go:build !mutant_permit_key_ignored

package permit

const mutantPermitKeyIgnored = false
