//go:build mutant_debt_destroyed

package server

// mutantDebtDestroyed forgets that a call whose offer is owed must be kept.
const mutantDebtDestroyed = true
