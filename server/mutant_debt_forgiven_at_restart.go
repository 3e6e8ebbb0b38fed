//go:build mutant_debt_forgiven_at_restart

package server

const mutantForgivenAtRestart = true
