//go:build !mutant_field_dropped

package record

const mutantFieldDropped = false
