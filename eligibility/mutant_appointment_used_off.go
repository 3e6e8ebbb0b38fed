//go:build !mutant_appointment_used

package eligibility

const mutantAppointmentUsed = false
