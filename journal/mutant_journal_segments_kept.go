//go:build mutant_journal_segments_kept

package journal

// mutantJournalSegmentsKept never removes what is shipped.
const mutantJournalSegmentsKept = true
