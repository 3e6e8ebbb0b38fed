//go:build mutant_fence_drift_ignored

package fence

// mutantDriftIgnored gives itself a lease whatever its clock does.
const mutantDriftIgnored = true
