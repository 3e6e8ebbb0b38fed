//go:build !mutant_bench_from_send

package bench

const mutantBenchFromSend = false
