//go:build mutant_withdrawal_tie

package eligibility

// mutantWithdrawalTie: a consent of the same moment survives a withdrawal.
const mutantWithdrawalTie = true
