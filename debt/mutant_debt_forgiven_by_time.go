//go:build mutant_debt_forgiven_by_time

package debt

const mutantForgivenByTime = true
