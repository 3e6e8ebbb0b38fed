//go:build !mutant_withdrawal_tie

package eligibility

const mutantWithdrawalTie = false
