//go:build !mutant_announce_without_disk

package ledger

const mutantAnnounceWithoutDisk = false
