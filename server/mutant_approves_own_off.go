//go:build !mutant_approves_own

package server

const mutantApprovesOwn = false
