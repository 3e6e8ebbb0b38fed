//go:build !mutant_any_rate

package server

const mutantAnyRate = false
