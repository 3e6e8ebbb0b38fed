//go:build mutant_until_no_window

package eligibility

// mutantUntilNoWindow: valid_until overlooks the beginning of an appointment.
const mutantUntilNoWindow = true
