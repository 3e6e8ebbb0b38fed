//go:build !mutant_repeat_unlooked

package server

const mutantRepeatUnlooked = false
