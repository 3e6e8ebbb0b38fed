//go:build !mutant_permit_subject_unbound

package permit

const mutantPermitSubjectUnbound = false
