//go:build mutant_clock_alone

package server

const mutantClockAlone = true
