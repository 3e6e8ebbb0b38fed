//go:build !mutant_no_second_look

package server

const mutantNoSecondLook = false
