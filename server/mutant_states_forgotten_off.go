//go:build !mutant_states_forgotten

package server

const mutantStatesForgotten = false
