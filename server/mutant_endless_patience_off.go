//go:build !mutant_endless_patience

package server

const mutantEndlessPatience = false
