//go:build !mutant_dispose_unseen

package ledger

const mutantDisposeUnseen = false
