//go:build mutant_compare_two_instants

package server

const mutantCompareTwoInstants = true
