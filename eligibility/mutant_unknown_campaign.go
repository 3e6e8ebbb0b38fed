//go:build mutant_unknown_campaign

package eligibility

// mutantUnknownCampaign: an answered call of nobody's campaign counts as the first call.
const mutantUnknownCampaign = true
