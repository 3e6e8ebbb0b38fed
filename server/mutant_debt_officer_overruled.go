//go:build mutant_debt_officer_overruled

package server

const mutantOfficerOverruled = true
