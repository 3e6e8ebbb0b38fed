//go:build !mutant_patient_appender

package ledger

const mutantPatientAppender = false
