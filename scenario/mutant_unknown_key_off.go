//go:build !mutant_scenario_unknown_key

package scenario

const mutantUnknownKey = false
