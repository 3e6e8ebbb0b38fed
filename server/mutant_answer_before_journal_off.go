//go:build !mutant_answer_before_journal

package server

const mutantAnswerBeforeJournal = false
