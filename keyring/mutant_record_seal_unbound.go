//go:build mutant_record_seal_unbound

package keyring

// mutantRecordSealUnbound leaves the callee out of what a sealed record covers.
const mutantRecordSealUnbound = true
