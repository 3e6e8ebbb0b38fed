//go:build mutant_announced_from_one

package ledger

// mutantAnnouncedFromOne numbers the announcements of a row that lapsed and came back from 1 again.
const mutantAnnouncedFromOne = true
