//go:build mutant_announce_without_disk

package ledger

// mutantAnnounceWithoutDisk lets an announcement return before it is on disk and standby.
const mutantAnnounceWithoutDisk = true
