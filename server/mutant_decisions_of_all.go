//go:build mutant_decisions_of_all

package server

const mutantDecisionsOfAll = true
