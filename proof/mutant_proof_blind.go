//go:build mutant_proof_blind

package proof

const mutantProofBlind = true
