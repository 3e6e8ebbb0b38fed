//go:build !mutant_window_any_order

package loader

const mutantWindowAnyOrder = false
