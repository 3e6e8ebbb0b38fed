//go:build mutant_dispose_unseen

package ledger

// mutantDisposeUnseen destroys facts although newer ones about the callee were never looked at.
const mutantDisposeUnseen = true
