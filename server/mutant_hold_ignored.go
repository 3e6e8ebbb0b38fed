//go:build mutant_hold_ignored

package server

const mutantHoldIgnored = true
