//go:build mutant_permit_subject_unbound

package permit

// mutantPermitSubjectUnbound lets a permit for one callee cover another.
const mutantPermitSubjectUnbound = true
