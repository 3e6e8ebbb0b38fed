//go:build !mutant_unlocked_head

package ledger

const mutantUnlockedHead = false
