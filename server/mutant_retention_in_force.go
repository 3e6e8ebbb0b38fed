//go:build mutant_retention_in_force

package server

// mutantRetentionInForce destroys what may still decide.
const mutantRetentionInForce = true
