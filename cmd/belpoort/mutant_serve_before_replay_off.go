//go:build !mutant_serve_before_replay

package main

const mutantServeBeforeReplay = false
