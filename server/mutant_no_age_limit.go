//go:build mutant_no_age_limit

package server

const mutantNoAgeLimit = true
