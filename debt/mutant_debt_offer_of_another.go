//go:build mutant_debt_offer_of_another

package debt

const mutantOfferOfAnother = true
