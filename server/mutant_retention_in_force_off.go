//go:build !mutant_retention_in_force

package server

const mutantRetentionInForce = false
