//go:build !mutant_pending_ok

package web

const mutantPendingOK = false
