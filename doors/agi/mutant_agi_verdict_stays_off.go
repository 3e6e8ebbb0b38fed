//go:build !mutant_agi_verdict_stays

package agi

const mutantVerdictStays = false
