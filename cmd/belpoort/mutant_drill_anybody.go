//go:build mutant_drill_anybody

package main

const mutantDrillAnybody = true
