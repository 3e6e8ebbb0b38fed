//go:build mutant_debt_counted_twice

package debt

const mutantCountedTwice = true
