//go:build !mutant_bench_any_verdict

package bench

const mutantBenchAnyVerdict = false
