//go:build mutant_unmasked

package telephony

// mutantUnmasked shows the number where its masked form belongs.
const mutantUnmasked = true
