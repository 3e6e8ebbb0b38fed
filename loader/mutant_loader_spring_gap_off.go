//go:build !mutant_loader_spring_gap

package loader

const mutantSpringGap = false
