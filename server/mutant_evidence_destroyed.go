//go:build mutant_evidence_destroyed

package server

// mutantEvidenceDestroyed destroys a basis although a decision to allow a call rests on it and is kept.
const mutantEvidenceDestroyed = true
