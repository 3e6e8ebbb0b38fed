//go:build !mutant_canary_by_anybody

package server

const mutantCanaryByAnybody = false
