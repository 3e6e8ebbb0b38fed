//go:build mutant_unbounded_queue

package server

const mutantUnboundedQueue = true
