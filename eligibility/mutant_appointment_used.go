//go:build mutant_appointment_used

package eligibility

// mutantAppointmentUsed: a request that is used up still lifts the hours.
const mutantAppointmentUsed = true
