//go:build !mutant_unknown_campaign

package eligibility

const mutantUnknownCampaign = false
