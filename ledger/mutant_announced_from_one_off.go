//go:build !mutant_announced_from_one

package ledger

const mutantAnnouncedFromOne = false
