//go:build !mutant_no_raise

package server

const mutantNoRaise = false
