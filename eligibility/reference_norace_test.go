//go:build !race

package eligibility_test

// agreeingPairs is how many pairs TestReferenceAgrees tries.
const agreeingPairs = 200_000
