//go:build mutant_client_unthrottled

package client

const mutantUnthrottled = true
