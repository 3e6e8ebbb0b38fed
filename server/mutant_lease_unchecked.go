//go:build mutant_lease_unchecked

package server

const mutantLeaseUnchecked = true
