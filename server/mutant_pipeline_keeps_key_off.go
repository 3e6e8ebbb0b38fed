//go:build !mutant_pipeline_keeps_key

package server

const mutantPipelineKeepsKey = false
