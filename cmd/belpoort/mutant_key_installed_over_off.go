//go:build !mutant_key_installed_over

package main

const mutantKeyInstalledOver = false
