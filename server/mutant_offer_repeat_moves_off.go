//go:build !mutant_offer_repeat_moves

package server

const mutantOfferRepeatMoves = false
