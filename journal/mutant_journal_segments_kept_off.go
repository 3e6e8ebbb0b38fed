//go:build !mutant_journal_segments_kept

package journal

const mutantJournalSegmentsKept = false
