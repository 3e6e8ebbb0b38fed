//go:build mutant_journal_cut_anything

package journal

const mutantJournalCutAnything = true
