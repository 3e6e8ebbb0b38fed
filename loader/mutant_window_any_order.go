//go:build mutant_window_any_order

package loader

// mutantWindowAnyOrder hands facts over together although they have one request id.
const mutantWindowAnyOrder = true
