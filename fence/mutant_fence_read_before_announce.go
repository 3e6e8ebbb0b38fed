//go:build mutant_fence_read_before_announce

package fence

// mutantReadBeforeAnnounce reads the changes before the announce is in the ledger.
const mutantReadBeforeAnnounce = true
