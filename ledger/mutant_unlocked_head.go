//go:build mutant_unlocked_head

package ledger

// mutantUnlockedHead reads the head without keeping other nodes from reading the same one.
const mutantUnlockedHead = true
