//go:build !mutant_until_no_window

package eligibility

const mutantUntilNoWindow = false
