//go:build !mutant_screen_unlimited

package server

const mutantScreenUnlimited = false
