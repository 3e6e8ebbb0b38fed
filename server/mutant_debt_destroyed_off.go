//go:build !mutant_debt_destroyed

package server

const mutantDebtDestroyed = false
