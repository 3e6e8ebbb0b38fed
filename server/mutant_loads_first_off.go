//go:build !mutant_loads_first

package server

const mutantLoadsFirst = false
