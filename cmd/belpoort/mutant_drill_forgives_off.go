//go:build !mutant_drill_forgives

package main

const mutantDrillForgives = false
