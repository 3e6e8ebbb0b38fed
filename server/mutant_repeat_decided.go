//go:build mutant_repeat_decided

package server

const mutantRepeatDecided = true
