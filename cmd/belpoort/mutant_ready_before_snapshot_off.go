//go:build !mutant_ready_before_snapshot

package main

const mutantReadyBeforeSnapshot = false
