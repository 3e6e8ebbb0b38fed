//go:build !mutant_answer_before_settled

package server

const mutantAnswerBeforeSettled = false
