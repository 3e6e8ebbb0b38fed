//go:build mutant_agi_late_allow

package agi

const mutantLateAllow = true
