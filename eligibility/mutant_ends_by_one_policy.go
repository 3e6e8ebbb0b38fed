//go:build mutant_ends_by_one_policy

package eligibility

// mutantEndsByOnePolicy asks the law's defaults alone how long a basis lasts, and no campaign.
const mutantEndsByOnePolicy = true
