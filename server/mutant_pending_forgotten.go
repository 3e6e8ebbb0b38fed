//go:build mutant_pending_forgotten

package server

const mutantPendingForgotten = true
