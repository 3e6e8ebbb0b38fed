//go:build !mutant_trust_hashes

package ledger

const mutantTrustHashes = false
