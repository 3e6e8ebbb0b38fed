//go:build !mutant_fence_drift_ignored

package fence

const mutantDriftIgnored = false
