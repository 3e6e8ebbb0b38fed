//go:build mutant_error_allows

package doors

const mutantErrorAllows = true
