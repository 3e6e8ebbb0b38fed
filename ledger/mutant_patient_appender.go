//go:build mutant_patient_appender

package ledger

// mutantPatientAppender keeps everybody waiting for a group whose callers have all gone.
const mutantPatientAppender = true
