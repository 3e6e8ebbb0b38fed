//go:build !mutant_refusal_ok

package web

const mutantRefusalOK = false
