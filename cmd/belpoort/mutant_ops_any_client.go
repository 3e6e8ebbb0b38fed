//go:build mutant_ops_any_client

package main

const mutantOpsAnyClient = true
