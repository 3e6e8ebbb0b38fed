//go:build !mutant_record_seal_unbound

package keyring

const mutantRecordSealUnbound = false
