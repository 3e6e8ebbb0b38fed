//go:build !mutant_connections_unbounded

package server

const mutantConnectionsUnbounded = false
