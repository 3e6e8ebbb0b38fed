//go:build mutant_journal_no_dirsync

package journal

const mutantJournalNoDirsync = true
