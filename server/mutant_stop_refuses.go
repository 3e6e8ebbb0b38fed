//go:build mutant_stop_refuses

package server

const mutantStopRefuses = true
