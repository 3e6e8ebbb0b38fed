//go:build mutant_loader_spring_gap

package loader

// mutantSpringGap takes a time that never was.
const mutantSpringGap = true
