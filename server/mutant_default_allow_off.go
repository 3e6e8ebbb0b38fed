//go:build !mutant_default_allow

package server

const mutantDefaultAllow = false
