//go:build !mutant_evidence_destroyed

package server

const mutantEvidenceDestroyed = false
