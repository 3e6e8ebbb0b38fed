//go:build race

package eligibility_test

// agreeingPairs is how many pairs TestReferenceAgrees tries; the race detector makes each many times as slow.
const agreeingPairs = 15_000
