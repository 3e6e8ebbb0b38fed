//go:build !linux

package main

// giveWay lowers this process's priority; only Linux has what it takes.
func giveWay() {}
