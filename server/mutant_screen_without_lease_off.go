//go:build !mutant_screen_without_lease

package server

const mutantScreenWithoutLease = false
