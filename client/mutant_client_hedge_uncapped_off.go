//go:build !mutant_client_hedge_uncapped

package client

const mutantHedgeUncapped = false
