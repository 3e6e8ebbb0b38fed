//go:build !mutant_bench_no_settle

package bench

const mutantBenchNoSettle = false
