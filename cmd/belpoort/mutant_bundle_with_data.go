//go:build mutant_bundle_with_data

package main

const mutantBundleWithData = true
