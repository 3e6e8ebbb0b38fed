//go:build mutant_approves_own

package server

// mutantApprovesOwn lets whoever proposed a correction approve it.
const mutantApprovesOwn = true
